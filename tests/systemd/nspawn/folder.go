package nspawn

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// prefix begins the names of machines, of their folders and of their cgroups.
const prefix = "edged-test-"

// newFolder makes the folder of a new machine, whose name is the machine's, and removes it and the machine's cgroups at the end of the test. A test
// that was killed could not: what such ones left is removed first. The lock in a folder tells whether its test still lives.
func newFolder(t testing.TB) string {
	t.Helper()
	one := lock(t, filepath.Join(cache, prefix+"lock"), unix.LOCK_EX)
	require.NotNil(t, one, "cannot lock %s", cache)
	defer func() { require.NoError(t, one.Close()) }()

	old, err := filepath.Glob(filepath.Join(cache, prefix+"*", "lock"))
	require.NoError(t, err)
	for _, name := range old {
		if left := lock(t, name, unix.LOCK_EX|unix.LOCK_NB); left != nil {
			remove(t, filepath.Dir(name))
			require.NoError(t, left.Close())
		}
	}

	folder, err := os.MkdirTemp(cache, prefix)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(folder, 0o755))
	mine := lock(t, filepath.Join(folder, "lock"), unix.LOCK_EX)
	require.NotNil(t, mine, "cannot lock %s", folder)
	t.Cleanup(func() {
		remove(t, folder)
		require.NoError(t, mine.Close())
	})
	return folder
}

// lock opens and locks a file, or returns nil when another has it and how says not to wait. Closing the file unlocks it, as does the end of the
// process; the programs that it starts do not inherit it.
func lock(t testing.TB, name string, how int) *os.File {
	t.Helper()
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	err = unix.Flock(int(file.Fd()), how)
	if errors.Is(err, unix.EWOULDBLOCK) {
		require.NoError(t, file.Close())
		return nil
	}
	require.NoError(t, err)
	return file
}

// remove removes what a machine that has ended left.
func remove(t testing.TB, folder string) {
	t.Helper()
	tops, err := filepath.Glob(filepath.Join("/sys/fs/cgroup/*", filepath.Base(folder)))
	require.NoError(t, err)
	for _, top := range append(tops, filepath.Join("/sys/fs/cgroup", filepath.Base(folder))) {
		removeCgroup(t, top)
	}
	require.NoError(t, os.RemoveAll(folder))
}

// removeCgroup removes a cgroup and those in it, and ends what still runs there: a machine outlives a systemd-nspawn that was killed.
func removeCgroup(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	require.NoError(t, err)
	for _, e := range entries {
		if e.IsDir() {
			removeCgroup(t, filepath.Join(dir, e.Name()))
		}
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err == nil {
			for _, field := range strings.Fields(string(procs)) {
				pid, err := strconv.Atoi(field)
				require.NoError(t, err)
				_ = unix.Kill(pid, unix.SIGKILL) // it may have ended by itself
			}
			err = unix.Rmdir(dir)
		}
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		require.Truef(t, time.Now().Before(end), "cannot remove cgroup %s: %v", dir, err)
	}
}
