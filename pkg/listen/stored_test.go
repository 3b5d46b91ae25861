package listen

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// restart is what a module's listeners go through over a restart of edged:
// systemd keeps copies of them, which the next process is passed.
func restart(t *testing.T, change func(*kernel), listeners ...ModuleListener) *Activation {
	t.Helper()
	var copies []int
	var names []string
	for _, l := range listeners {
		require.NoError(t, withFD(l.UnixListener, func(fd int) error {
			copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			copies = append(copies, copied)
			return err
		}))
		names = append(names, FDName(l.Module))
	}
	for _, l := range listeners {
		l.Close()
	}
	// The real kernel, but for the numbers that descriptors have.
	k, env := host(), map[string]string{"LISTEN_PID": itoa(os.Getpid()), "LISTEN_FDS": itoa(len(copies)), "LISTEN_FDNAMES": strings.Join(names, ":")}
	real := host()
	at := func(fd int) int { return copies[fd-firstFD] }
	k.lookupEnv = func(key string) (string, bool) { v, ok := env[key]; return v, ok }
	k.unsetEnv = func(string) error { return nil }
	k.closeOnExec = func(fd int) error { return real.closeOnExec(at(fd)) }
	k.option = func(fd, option int) (int, error) { return real.option(at(fd), option) }
	k.name = func(fd int) (string, error) { return real.name(at(fd)) }
	k.file = func(fd int) (inode, error) { return real.file(at(fd)) }
	k.listener = func(fd int, name string) (*net.UnixListener, error) { return real.listener(at(fd), name) }
	k.close = func(fd int) { real.close(at(fd)) }
	if change != nil {
		change(&k)
	}
	act, err := activate(k)
	require.NoError(t, err)
	t.Cleanup(act.Close)
	return act
}

func TestListenersOutliveARestart(t *testing.T) {
	run := shortDir(t)
	a := ensure(t, NewModuleSockets(run), "a", true, nil)
	b := ensure(t, NewModuleSockets(run), "b", false, nil)
	path := filepath.Join(NewModuleSockets(run).Dir("a"), "workload.sock")
	before, err := os.Stat(path)
	require.NoError(t, err)

	// A client that comes while nobody serves waits, and is served.
	waiting, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer waiting.Close()
	act := restart(t, nil, a[1], b[0], a[0])

	m := NewModuleSockets(run)
	again := ensure(t, m, "a", true, act)
	for i, l := range again {
		require.True(t, l.Stored, l.Name)
		require.Equal(t, a[i].Name, l.Name)
	}
	require.NoError(t, again[0].SetDeadline(time.Now().Add(10*time.Second)))
	c, err := again[0].Accept()
	require.NoError(t, err)
	require.NoError(t, c.Close())
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "what the module has mounted is as it was")
	answers(t, filepath.Join(m.Dir("a"), "mgmt.sock"), again[1].UnixListener)
	require.Equal(t, []string{FDName("b")}, act.CloseStale())
}

// TestStoredOrphanIsNotUsed: its path is right and its name is right, but the
// module sees another file. Served, it would leave the module unheard for ever.
func TestStoredOrphanIsNotUsed(t *testing.T) {
	run := shortDir(t)
	orphan := ensure(t, NewModuleSockets(run), "a", false, nil)[0]
	path := filepath.Join(NewModuleSockets(run).Dir("a"), "workload.sock")

	// Nothing is there.
	require.NoError(t, os.Remove(path))
	act := restart(t, nil, orphan)
	l := ensure(t, NewModuleSockets(run), "a", false, act)[0]
	require.False(t, l.Stored)
	answers(t, path, l.UnixListener)
	require.Equal(t, []string{FDName("a")}, act.CloseStale())

	// A later one is there, stored beside it.
	require.NoError(t, os.Remove(path))
	later := ensure(t, NewModuleSockets(run), "a", false, nil)[0]
	act = restart(t, nil, l, later)
	l = ensure(t, NewModuleSockets(run), "a", false, act)[0]
	require.True(t, l.Stored)
	answers(t, path, l.UnixListener)
	require.Empty(t, act.CloseStale())
}

// TestStoredListenersByPath is a kernel that does not tell a socket's file.
func TestStoredListenersByPath(t *testing.T) {
	mute := func(k *kernel) { k.file = func(int) (inode, error) { return inode{}, unix.EPERM } }
	run := shortDir(t)
	m := NewModuleSockets(run)
	path := filepath.Join(m.Dir("a"), "workload.sock")
	ls := ensure(t, m, "a", true, nil)
	act := restart(t, mute, ls[1], ls[0])
	ls = ensure(t, NewModuleSockets(run), "a", true, act)
	require.True(t, ls[0].Stored)
	require.True(t, ls[1].Stored)
	require.NoError(t, ls[0].SetDeadline(time.Now().Add(10*time.Second)))
	c, err := ls[0].Accept() // the one by which the path was tried
	require.NoError(t, err)
	require.NoError(t, c.Close())
	answers(t, path, ls[0].UnixListener)

	// The file there is a socket that nobody serves: the stored one is an orphan.
	require.NoError(t, os.Remove(path))
	listenAt(t, path).Close()
	act = restart(t, mute, ls[0])
	l := ensure(t, NewModuleSockets(run), "a", false, act)[0]
	require.False(t, l.Stored)
	answers(t, path, l.UnixListener)
}
