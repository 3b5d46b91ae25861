package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
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

func TestAnotherKeyIsRefused(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	require.NoError(t, s.SaveModule(t.Context(), record("temp")))
	require.NoError(t, s.Close())
	require.NoError(t, os.Remove(filepath.Join(home, "keys", "seal")))
	_, err := open(t, home).Modules(t.Context())
	require.ErrorContains(t, err, `cannot open registry credentials of module "temp"`)
}

func TestASealedValueOpensInItsOwnPlaceOnly(t *testing.T) {
	s, err := NewFileSealer(filepath.Join(t.TempDir(), "k"))
	require.NoError(t, err)
	sealed, err := s.Seal([]byte("x"), authContext("a", 1))
	require.NoError(t, err)
	again, err := s.Seal([]byte("x"), authContext("a", 1))
	require.NoError(t, err)
	require.NotEqual(t, sealed, again, "the nonce is fresh")
	plain, err := s.Open(sealed, authContext("a", 1))
	require.NoError(t, err)
	require.Equal(t, "x", string(plain))
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, tc := range map[string]struct {
		sealed  []byte
		context string
	}{
		"another module": {sealed, authContext("b", 1)}, "another generation": {sealed, authContext("a", 2)}, "changed": {changed, authContext("a", 1)},
		"nothing": {nil, authContext("a", 1)}, "short": {sealed[:5], authContext("a", 1)}, "another version": {append([]byte{9}, sealed[1:]...), authContext("a", 1)},
	} {
		_, err := s.Open(tc.sealed, tc.context)
		require.Error(t, err, name)
	}
	require.NotEqual(t, authContext("1/a", 1), authContext("a", 11))
}

func TestAKeyFileThatIsNoKeyIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	require.NoError(t, os.WriteFile(path, []byte("short"), 0o600))
	_, err := NewFileSealer(path)
	require.ErrorContains(t, err, "has 5 bytes, not 32")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "short", string(b))
}

func TestTheKeyIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "k")
	one, err := NewFileSealer(path)
	require.NoError(t, err)
	two, err := NewFileSealer(path)
	require.NoError(t, err)
	sealed, err := one.Seal([]byte("x"), "c")
	require.NoError(t, err)
	plain, err := two.Open(sealed, "c")
	require.NoError(t, err)
	require.Equal(t, "x", string(plain))
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "no half a key is left")
}
