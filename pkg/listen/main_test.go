package listen

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// childEnv makes this test binary the service that TestRealActivation starts.
const childEnv = "EDGED_TEST_ACTIVATED"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		activatedChild()
		return
	}
	goleak.VerifyTestMain(m)
}

// childReport is what an activated child saw.
type childReport struct {
	Err         string
	Again       int // sockets that a second call finds
	Management  string
	Stored      int
	Environment []string // of activation, left over
	Inheritable []int    // passed descriptors that a child would get
}

// activatedChild reports what it was passed and then serves one connection on
// the management socket.
func activatedChild() {
	var r childReport
	act, err := FromEnvironment()
	for _, key := range activationEnv {
		if _, ok := os.LookupEnv(key); ok {
			r.Environment = append(r.Environment, key)
		}
	}
	for fd := firstFD; fd < firstFD+2; fd++ { // the shell keeps others for itself
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			r.Inheritable = append(r.Inheritable, fd)
		}
	}
	if again, err := FromEnvironment(); err == nil {
		r.Again = len(again.sockets) + len(again.stored)
	}
	var l *net.UnixListener
	if err != nil {
		r.Err = err.Error()
	} else if l, err = act.Take(ManagementSocket); err == nil {
		r.Management = l.Addr().String()
		r.Stored = len(act.stored)
	}
	json.NewEncoder(os.Stdout).Encode(r)
	if l != nil {
		if c, err := l.Accept(); err == nil {
			c.Write([]byte("served"))
			c.Close()
		}
	}
}

// listenAt binds a plain listener that is closed with the test.
func listenAt(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	t.Cleanup(func() { l.Close() })
	return l
}

// modeOf is the type and mode of what is at path, links not followed.
func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	return info.Mode()
}

// answers tells that who connects to path is accepted by l.
func answers(t *testing.T, path string, l *net.UnixListener) {
	t.Helper()
	dir, err := os.Open(filepath.Dir(path)) // for paths that sun_path does not hold
	require.NoError(t, err)
	defer dir.Close()
	c, err := net.Dial("unix", filepath.Join("/proc/self/fd", itoa(int(dir.Fd())), filepath.Base(path)))
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
	// Another listener got it if this one never does.
	require.NoError(t, l.SetDeadline(time.Now().Add(10*time.Second)))
	s, err := l.AcceptUnix()
	require.NoError(t, err)
	defer s.Close()
	b := make([]byte, 1)
	_, err = s.Read(b)
	require.NoError(t, err)
	require.Equal(t, "x", string(b))
}

// umask sets the process's umask until the test ends.
func umask(t *testing.T, mask int) {
	t.Helper()
	old := unix.Umask(mask)
	t.Cleanup(func() { unix.Umask(old) })
}
