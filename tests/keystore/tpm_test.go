package keystore

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/keystore"
)

// signs holds a signer to sign what its public key verifies.
func signs(t *testing.T, signer crypto.Signer) {
	t.Helper()
	digest := sha256.Sum256([]byte("what is signed"))
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.NoError(t, err)
	require.True(t, ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest[:], signature))
}

// keeps is what every keystore has to do: keys are there again after a restart.
func keeps(t *testing.T, h *home) {
	t.Helper()
	s := h.open()
	one, err := s.Derive(t.Context(), "sign", "m")
	require.NoError(t, err)
	other, err := s.Derive(t.Context(), "signm")
	require.NoError(t, err)
	require.NotEqual(t, one, other)
	signer, err := s.Signer(t.Context(), "device-ca")
	require.NoError(t, err)
	signs(t, signer)
	require.NoError(t, s.Close())

	s = h.open()
	again, err := s.Derive(t.Context(), "sign", "m")
	require.NoError(t, err)
	require.Equal(t, one, again)
	same, err := s.Signer(t.Context(), "device-ca")
	require.NoError(t, err)
	require.Equal(t, signer.Public(), same.Public())
	signs(t, same)
	require.NoError(t, s.Close())
}

func TestATPMKeepsKeys(t *testing.T) {
	tpm := newTPM(t)
	h := newHome(t, tpm.uri())
	keeps(t, h)
	entries, err := os.ReadDir(h.folder)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	for range 6 {
		// A process that is killed frees nothing: its keys stay loaded in the TPM, which has room for three.
		s, err := h.try()
		require.NoError(t, err)
		_, err = s.Signer(t.Context(), "device-ca")
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
	}
	tpm.stop()
	tpm.start()
	keeps(t, h)
	require.Empty(t, h.said())
}

func TestATPMThatWasRestartedSignsOn(t *testing.T) {
	tpm := newTPM(t)
	s := newHome(t, tpm.uri()).open()
	signer, err := s.Signer(t.Context(), "device-ca")
	require.NoError(t, err)
	tpm.stop()
	digest := sha256.Sum256(nil)
	_, err = signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
	_, err = s.Derive(t.Context(), "x")
	require.NoError(t, err, "the root key is in memory")
	tpm.start()
	signs(t, signer)
	_, err = signer.Sign(rand.Reader, digest[:20], crypto.SHA1)
	require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
}

func TestAnotherTPMOpensNothing(t *testing.T) {
	one, two := newTPM(t), newTPM(t)
	h := newHome(t, one.uri())
	keeps(t, h)
	h.uri = two.uri()
	_, err := h.try()
	require.ErrorIs(t, err, errdefs.ErrFailedPrecondition)
	require.ErrorContains(t, err, "the keys were made in another TPM than "+two.socket)
	require.ErrorContains(t, err, "edged --new-keys")
	h.notes.all[keystore.Note] = ""
	_, err = h.try()
	require.ErrorContains(t, err, "made in another TPM", "also with a new database")
	h.uri = one.uri()
	keeps(t, h)
}

func TestALostKeyFileOfATPMIsNotMadeAnew(t *testing.T) {
	tpm := newTPM(t)
	h := newHome(t, tpm.uri())
	keeps(t, h)
	for name, want := range map[string]string{"tpm-device-ca": "cannot use key device-ca", "tpm-master": "cannot open keystore"} {
		path := filepath.Join(h.folder, name)
		good, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, content := range []string{"", "{}", string(good[:len(good)/2]), "gone"} {
			require.NoError(t, os.Remove(path))
			if content != "gone" {
				require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			}
			s, err := h.try()
			if err == nil {
				_, err = s.Signer(t.Context(), "device-ca")
				require.NoError(t, s.Close())
			}
			require.ErrorIs(t, err, errdefs.ErrFailedPrecondition, content)
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, path)
		}
		require.NoError(t, os.WriteFile(path, good, 0o600))
	}
	keeps(t, h)
}

func TestATPMThatHangsIsNotWaitedForLongerThanAsked(t *testing.T) {
	tpm := newTPM(t)
	h := newHome(t, tpm.uri())
	s := h.open()
	tpm.pause(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := s.Signer(ctx, "device-ca")
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
	require.ErrorContains(t, err, "does not answer")
	require.Less(t, time.Since(began), 5*time.Second)
	tpm.pause(false)
	signer, err := s.Signer(t.Context(), "device-ca")
	require.NoError(t, err)
	signs(t, signer)
}

func TestNoTPMIsSaid(t *testing.T) {
	h := newHome(t, "tpm2:/nonexistent/tpm")
	_, err := h.try()
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
	require.ErrorContains(t, err, "there is no TPM at /nonexistent/tpm")
	require.Empty(t, h.notes.all)
}
