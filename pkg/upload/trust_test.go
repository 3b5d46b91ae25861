package upload

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/pack/packtest"
)

func TestSignaturesByPolicy(t *testing.T) {
	signer, other := packtest.NewSigner(), packtest.NewSigner()
	key, err := pack.ParseKey("k", signer.Public)
	require.NoError(t, err)
	b := packtest.RAMP{}.Bytes()
	add := func(r *rig, b, signature []byte) (*Package, error) {
		u := r.receive(b)
		u.Sign(signature)
		p, err := u.Add(t.Context())
		if err == nil {
			require.NoError(t, r.Delete(t.Context(), p.UID))
		}
		return p, err
	}
	newest := signer.Sign(b, "counter:7")
	r := newRig(t, func(c *Config) { c.Policy[pack.RAMPFormat] = Require })
	r.keys = []pack.Key{key}
	warned := newRig(t, func(c *Config) { c.Policy[pack.RAMPFormat] = Warn })
	warned.keys = r.keys
	for _, tc := range []struct {
		name      string
		signature []byte
		code      Code
		verified  bool
	}{
		{"none", nil, SignatureRequired, false},
		{"another key's", other.Sign(b, "counter:7"), InvalidSignature, false},
		{"of other bytes", signer.Sign([]byte("other"), "counter:7"), InvalidSignature, false},
		{"of the legacy kind", signer.SignLegacy(b), InvalidSignature, false},
		{"without a number", signer.Sign(b, "no number"), RollbackRefused, true},
		{"sound", newest, "", true},
		{"the same again", newest, "", true},
		{"older", signer.Sign(b, "counter:6"), RollbackRefused, true},
		{"newer", signer.Sign(b, "timestamp:8"), "", true},
		{"no more the newest", newest, RollbackRefused, true},
	} {
		p, err := add(r, b, tc.signature)
		require.Equal(t, tc.code, CodeOf(err), "%s: %v", tc.name, err)
		if err == nil {
			require.Equal(t, key.ID(), p.Signed.KeyID)
		}
		r.nothingLeft()
		p, err = add(warned, b, tc.signature)
		require.NoError(t, err, tc.name)
		require.Equal(t, tc.verified, p.Signed != nil, tc.name)
	}
	// The other format has a policy of its own, and a broken trust folder lets nothing in.
	_, err = add(r, anImage(t, "app:1", runtime.GOARCH), nil)
	require.NoError(t, err)
	r.Trust = func() ([]pack.Key, error) { return nil, errors.New("others may write it") }
	_, err = add(r, b, signer.Sign(b, "counter:9"))
	require.ErrorContains(t, err, "others may write it")
	r.nothingLeft()
}
