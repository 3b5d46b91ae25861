package keystore

import (
	"crypto/rand"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestModesAreMendedAndForeignHandsRefused(t *testing.T) {
	h := newHome(t)
	require.NoError(t, h.open().Close())
	master := filepath.Join(h.dir, "master")
	require.NoError(t, os.Chmod(master, 0o640))
	require.NoError(t, os.Chmod(h.dir, 0o755))
	require.NoError(t, h.open().Close())
	require.Len(t, h.warned, 2)
	require.Contains(t, h.warned[0], h.dir+" could be read by others (mode 0755)")
	require.Contains(t, h.warned[1], master+" could be read by others (mode 0640)")
	st, err := os.Stat(master)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())

	for path, mode := range map[string]os.FileMode{master: 0o622, h.dir: 0o777} {
		require.NoError(t, os.Chmod(path, mode))
		h.refused("others may write there", path)
		require.NoError(t, os.Chmod(path, mode&0o700))
	}
	for _, path := range []string{master, h.dir} {
		require.NoError(t, os.Chown(path, 12345, 0))
		h.refused("belongs to user 12345", path)
		require.NoError(t, os.Chown(path, 0, 0))
	}
	require.NoError(t, os.Rename(master, master+".elsewhere"))
	require.NoError(t, os.Symlink(master+".elsewhere", master))
	_, err = h.try()
	require.ErrorContains(t, err, "too many levels of symbolic links")
}

func TestACredentialIsTheRootKey(t *testing.T) {
	h := newHome(t)
	h.creds = t.TempDir()
	credential := filepath.Join(h.creds, "master")
	root := make([]byte, 32)
	_, _ = rand.Read(root)
	require.NoError(t, os.WriteFile(credential, root, 0o400))
	s := h.open()
	require.Equal(t, "credential "+credential, s.Place())
	require.NoFileExists(t, filepath.Join(h.dir, "master"))
	_, err := s.Signer(t.Context(), "device-ca")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, h.open().Close())

	require.NoError(t, os.Remove(credential))
	h.refused("is not there")
	require.NoError(t, os.WriteFile(credential, []byte("short\n"), 0o400))
	h.refused("has 6 bytes")
}

func TestSignersOfFilesSign(t *testing.T) {
	s := newHome(t).open()
	signer, err := s.Signer(t.Context(), "k")
	require.NoError(t, err)
	same, err := s.Signer(t.Context(), "k")
	require.NoError(t, err)
	require.Same(t, signer, same, "made once")
	digest := sha256.Sum256([]byte("x"))
	verify(t, signer, digest)
}
