package store

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/keystore"
)

func TestPasswordsAreNowhereInTheFiles(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	require.NoError(t, s.SaveModule(t.Context(), record("temp")))
	look := func() {
		require.NoError(t, filepath.WalkDir(home, func(path string, e os.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			require.False(t, bytes.Contains(b, []byte(password)), path)
			if filepath.Base(path) == "edged.db-wal" {
				require.Contains(t, string(b), "r.example/i:1", "the search would find it")
			}
			return err
		}))
	}
	look()
	require.NoError(t, s.Close())
	look()
}

func TestAnotherKeyIsRefusedWithACureThatWorks(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	require.NoError(t, s.SaveModule(t.Context(), record("temp")))
	other, err := keystore.NewSealer([keystore.KeySize]byte{2})
	require.NoError(t, err)
	require.NoError(t, s.SealWith(t.Context(), other, "/none"))
	_, err = s.Modules(t.Context())
	require.ErrorIs(t, err, errdefs.ErrFailedPrecondition)
	require.ErrorContains(t, err, `cannot open registry credentials of module "temp"`)
	require.ErrorContains(t, err, "edged --new-keys")

	n, err := s.ForgetSealed(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	got := only(t, s)
	require.Nil(t, got.Current.Spec.Auth)
	require.Equal(t, "temp", got.Name, "the module is still there")
}

// oldSealer seals as edged did before there was a keystore.
type oldSealer struct{ cipher.AEAD }

func newOldSealer(t *testing.T, key []byte) oldSealer {
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCMWithRandomNonce(block)
	require.NoError(t, err)
	return oldSealer{aead}
}

func (o oldSealer) Seal(plain []byte, context string) ([]byte, error) {
	return o.AEAD.Seal([]byte{oldVersion}, nil, plain, []byte(context)), nil
}

func (o oldSealer) Open(sealed []byte, context string) ([]byte, error) {
	return o.AEAD.Open(nil, nil, sealed[1:], []byte(context))
}

func TestWhatAnOlderEdgedSealedIsSealedAnew(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, "seal")
	key := bytes.Repeat([]byte{7}, 32)
	s := open(t, home)
	now := s.sealer
	s.sealer = newOldSealer(t, key)
	want := map[string]string{}
	for _, name := range []string{"one", "two"} {
		require.NoError(t, s.SaveModule(t.Context(), record(name)))
		want[name] = password
	}
	passwords := func() map[string]string {
		all, err := s.Modules(t.Context())
		require.NoError(t, err)
		got := map[string]string{}
		for _, r := range all {
			got[r.Name] = r.Current.Spec.Auth.Password
		}
		return got
	}
	require.Equal(t, want, passwords())

	err := s.SealWith(t.Context(), now, file)
	require.ErrorIs(t, err, errdefs.ErrFailedPrecondition, "the key is gone")
	require.ErrorContains(t, err, file)
	require.NoError(t, os.WriteFile(file, key[:5], 0o600))
	require.ErrorContains(t, s.SealWith(t.Context(), now, file), "has 5 bytes, not 32")
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte{8}, 32), 0o600))
	require.ErrorContains(t, s.SealWith(t.Context(), now, file), "sealed with another key")
	require.FileExists(t, file)

	require.NoError(t, os.WriteFile(file, key, 0o600))
	require.NoError(t, s.SealWith(t.Context(), now, file))
	require.Equal(t, want, passwords())
	require.NoFileExists(t, file)
	require.NoError(t, s.SealWith(t.Context(), now, file), "the next start")
	require.Equal(t, want, passwords())
	require.NotEqual(t, authContext("1/a", 1), authContext("a", 11))
}
