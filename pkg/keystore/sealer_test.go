package keystore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

// verify holds a signer to sign what its public key verifies.
func verify(t *testing.T, signer crypto.Signer, digest [32]byte) {
	t.Helper()
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.NoError(t, err)
	require.True(t, ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest[:], signature))
}

func TestASealedValueOpensInItsOwnPlaceOnly(t *testing.T) {
	s, err := newHome(t).open().Sealer(t.Context(), "database")
	require.NoError(t, err)
	sealed, err := s.Seal([]byte("x"), "a")
	require.NoError(t, err)
	again, err := s.Seal([]byte("x"), "a")
	require.NoError(t, err)
	require.NotEqual(t, sealed, again, "the nonce is fresh")
	plain, err := s.Open(sealed, "a")
	require.NoError(t, err)
	require.Equal(t, "x", string(plain))
	require.True(t, s.Sealed(sealed))
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, tc := range map[string]struct {
		sealed        []byte
		context, want string
	}{
		"another place": {sealed, "b", "it was changed, or is not in its place"}, "changed": {changed, "a", "it was changed"},
		"nothing": {nil, "a", "a form that this edged does not know"}, "short": {sealed[:5], "a", "a form"}, "no nonce": {sealed[:6], "a", "it was changed"},
		"another version": {append([]byte{9}, sealed[1:]...), "a", "a form"},
	} {
		_, err := s.Open(tc.sealed, tc.context)
		require.ErrorIs(t, err, errdefs.ErrFailedPrecondition, name)
		require.ErrorContains(t, err, tc.want, name)
	}
}

func TestAValueSaysUnderWhichKeyItWasSealed(t *testing.T) {
	store := newHome(t).open()
	one, err := store.Sealer(t.Context(), "one")
	require.NoError(t, err)
	two, err := store.Sealer(t.Context(), "two")
	require.NoError(t, err)
	sealed, err := one.Seal([]byte("x"), "a")
	require.NoError(t, err)
	require.False(t, two.Sealed(sealed))
	_, err = two.Open(sealed, "a")
	require.ErrorContains(t, err, "it was sealed with key ")
}
