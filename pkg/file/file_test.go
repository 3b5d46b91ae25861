package file

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestAFileIsReplacedWithItsModeAndGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o666))
	require.NoError(t, Write(path, []byte("new"), 0o640, 1234))
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), st.Mode())
	require.EqualValues(t, 1234, st.Sys().(*syscall.Stat_t).Gid)
	b, err := Read(path, 3)
	require.NoError(t, err)
	require.Equal(t, "new", string(b))
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Error(t, Write(filepath.Join(path, "x"), nil, 0o600, -1))
}

// TestWhatStandsInAFilesPlaceIsRefused is what a module may do that owns the folder.
func TestWhatStandsInAFilesPlaceIsRefused(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink("/etc", filepath.Join(dir, "folder")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "large"), make([]byte, 11), 0o600))
	for _, name := range []string{"link", "folder/passwd", "pipe", "large", "../" + filepath.Base(dir) + "/large"} {
		_, err := ReadIn(dir, name, 10)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, fs.ErrNotExist, name)
	}
	_, err := ReadIn(dir, "large", 10)
	require.True(t, errdefs.IsFailedPrecondition(err))
	_, err = ReadIn(dir, "none", 10)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = ReadIn(filepath.Join(dir, "none"), "none", 10)
	require.ErrorIs(t, err, fs.ErrNotExist)
}
