package volume

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// flag gives a file or folder a flag, as chattr does.
func flag(t *testing.T, path string, flag int) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flag), "the file system of %s takes no flags", path)
	t.Cleanup(func() { _ = clearFlags(unix.AT_FDCWD, path) }) // for a test that fails
}

func TestImmutableFilesKeepNoVolume(t *testing.T) {
	s := storeIn(t)
	s.mustMake(t, Wish{Name: "data"})
	data := s.Path("data")
	outside := t.TempDir() + "/outside"
	require.NoError(t, os.WriteFile(outside, nil, 0o600))
	flag(t, outside, flagImmutable)
	require.NoError(t, os.MkdirAll(data+"/deep/er", 0o755))
	require.NoError(t, os.WriteFile(data+"/deep/er/file", nil, 0o600))
	require.NoError(t, os.Symlink(outside, data+"/link"))
	require.NoError(t, unix.Mkfifo(data+"/pipe", 0o600))
	flag(t, data+"/deep/er/file", flagImmutable)
	flag(t, data+"/deep/er", flagAppendOnly)
	flag(t, data+"/file", flagAppendOnly)
	flag(t, data, flagImmutable)
	require.ErrorIs(t, os.RemoveAll(data), unix.EPERM, "else this tests nothing")
	require.NoError(t, s.Remove("data"))
	require.Empty(t, s.left(t))
	require.ErrorIs(t, os.Remove(outside), unix.EPERM, "what a link leads to is left alone")
}

func TestRemovingWhatIsNotThereIsFine(t *testing.T) {
	require.NoError(t, RemoveAll(t.TempDir()+"/none"))
}
