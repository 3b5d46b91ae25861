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

func TestAFullDiskLeavesWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"), "the tests run as root")
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	path := filepath.Join(dir, "f")
	require.NoError(t, Write(path, []byte("old"), 0o640, -1))
	err := Write(path, make([]byte, 8<<10), 0o640, -1)
	require.True(t, errdefs.IsResourceExhausted(err), "%v", err)
	require.Regexp(t, "no space left on device: resource exhausted$", err.Error(), "the class is at the end, where it is taken off for people")
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Equal(t, []string{path}, names)
}

func TestWhatAKilledWriteLeftGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	left, err := os.CreateTemp(filepath.Dir(path), ".f.*")
	require.NoError(t, err)
	require.NoError(t, left.Close())
	for _, name := range []string{"f", ".f.mine", ".g.1"} {
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), name), nil, 0o600))
	}
	require.NoError(t, Sweep(path))
	names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	require.NoError(t, err)
	require.Len(t, names, 3)
	require.NoFileExists(t, left.Name())
}

// TestWhatStandsInAFilesPlaceIsRefused is what a module may do that owns the folder.
func TestWhatStandsInAFilesPlaceIsRefused(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink("/etc", filepath.Join(dir, "folder")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "large"), make([]byte, 11), 0o600))
	// No driver has it: to open it would be another error.
	require.NoError(t, syscall.Mknod(filepath.Join(dir, "device"), syscall.S_IFCHR|0o666, 250<<8|250))
	_, err := ReadIn(dir, "device", 10)
	require.True(t, errdefs.IsFailedPrecondition(err), "%v", err)
	for _, name := range []string{"link", "folder/passwd", "pipe", "large", "../" + filepath.Base(dir) + "/large"} {
		_, err := ReadIn(dir, name, 10)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, fs.ErrNotExist, name)
	}
	_, err = ReadIn(dir, "large", 10)
	require.True(t, errdefs.IsFailedPrecondition(err))
	_, err = ReadIn(dir, "none", 10)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = ReadIn(filepath.Join(dir, "none"), "none", 10)
	require.ErrorIs(t, err, fs.ErrNotExist)
}
