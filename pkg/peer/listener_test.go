package peer

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// loop accepts until the listener is closed, as http.Server does, and hands over what it gets.
func loop(t *testing.T, l net.Listener) <-chan *Conn {
	t.Helper()
	conns := make(chan *Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(conns)
				ended <- err
				return
			}
			conns <- c.(*Conn)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		for c := range conns {
			_ = c.Close()
		}
		require.ErrorIs(t, <-ended, net.ErrClosed)
	})
	return conns
}

const bareRefusal = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// turnedAway has a child connect, and says whether it was turned away.
func turnedAway(t *testing.T, c *child, path string) bool {
	t.Helper()
	c.do("dial", path)
	return strings.Contains(c.do("read"), "503")
}

func TestLimitsPerUIDWithTheRootReserve(t *testing.T) {
	table := NewTable(testNamespace())
	p := newPeers(t, Config{Table: table, Limits: Limits{PerListener: 6, PerUID: 2, RootReserve: 1}})
	l, path := listen(t, p, Scope{Name: "management"})
	conns := loop(t, l)
	user := func(uid uint32) *child {
		return startChild(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}})
	}
	alice, bob, root := user(1001), user(1002), startChild(t, nil)
	module, _ := startModule(t, table, "greedy", nil)

	var open []*Conn
	admitted := func(c *child) {
		t.Helper()
		c.do("dial", path)
		conn := <-conns
		require.Equal(t, c.pid(), int(conn.cred.Pid))
		open = append(open, conn)
	}
	admitted(alice)
	admitted(alice)
	require.True(t, turnedAway(t, alice, path), "two a uid")
	admitted(bob)
	// A container's root takes what uid 0 may have.
	admitted(module)
	admitted(module)
	require.True(t, turnedAway(t, module, path), "the reserve is not for uid 0 of a container")
	require.True(t, turnedAway(t, bob, path), "five are open, the sixth place is kept")
	admitted(root)
	require.Equal(t, Host, who(t, open[len(open)-1]).Kind)
	require.True(t, turnedAway(t, root, path), "the reserve has one place")

	require.NoError(t, open[len(open)-1].Close())
	admitted(root)
	require.NoError(t, open[0].Close())
	require.Error(t, open[0].Close(), "a second close frees nothing more")
	admitted(bob)
	for _, c := range open {
		_ = c.Close()
	}
	stats := p.Stats()
	require.Equal(t, []ConnectionStat{{Listener: "management", Proof: ProofPIDFD, Accepted: 8, Open: 0}}, stats.Connections)
	require.Equal(t, []RejectStat{
		{"management", ReasonLimitListener, 3}, {"management", ReasonLimitUID, 1},
	}, stats.Rejects)
	require.Zero(t, l.(*listener).quota.total)
	require.Zero(t, l.(*listener).quota.kept)
}

func TestLimitOfAModuleListenerIsForAllItsUIDs(t *testing.T) {
	table := NewTable(testNamespace())
	p := newPeers(t, Config{Table: table, Limits: Limits{PerListener: 100, PerUID: 2}})
	l, path := listen(t, p, Scope{Name: "workload", Module: "tempSensor"})
	conns := loop(t, l)
	for uid := range uint32(2) {
		c := startChild(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 500 + uid, Gid: 500}})
		c.do("dial", path)
		defer (<-conns).Close() //nolint:errcheck // a test
	}
	require.True(t, turnedAway(t, startChild(t, nil), path))
}

func TestExcessConnectionGetsABare503(t *testing.T) {
	p := newPeers(t, Config{Limits: Limits{PerListener: 3, PerUID: 1, RootReserve: 1}})
	l, path := listen(t, p, Scope{Name: "management"})
	conns := loop(t, l)
	c := startChild(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1001, Gid: 1001}})
	c.do("dial", path)
	defer (<-conns).Close() //nolint:errcheck // a test
	c.do("dial", path)
	require.Equal(t, fmt.Sprintf("%q", bareRefusal), c.do("read"))
	require.Equal(t, `""`, c.do("read"), "and the end")
}

func TestFloodOfClientsThatExitAtOnce(t *testing.T) {
	const processes = 2500 // of 4 connections each
	p := newPeers(t, Config{})
	l, path := listen(t, p, Scope{Name: "workload"})
	before := descriptors(t)
	conns := loop(t, l)
	done := make(chan struct{})
	var accepted atomic.Int64
	go func() {
		defer close(done)
		for c := range conns {
			accepted.Add(1)
			if caller, err := c.Caller(t.Context()); err == nil && caller.Kind != Unknown && int32(caller.PID) != c.cred.Pid {
				t.Error("another process:", caller)
			}
			_ = c.Close()
		}
	}()
	flooder := startChild(t, nil)
	flooder.do("flood", path, processes)

	// The loop lives, and has nothing left of what went by.
	c := startChild(t, nil)
	c.do("dial", path)
	require.Equal(t, `""`, c.do("read"), "the last one was served and closed")
	flooder.reap()
	c.reap()
	require.NoError(t, l.Close())
	<-done
	var gone uint64
	for _, r := range p.Stats().Rejects {
		if r.Reason == ReasonGone {
			gone = r.Count
		} else {
			require.Equal(t, ReasonLimitUID, r.Reason)
		}
	}
	require.NotZero(t, gone)
	require.LessOrEqual(t, descriptors(t), before)
	require.Zero(t, p.Stats().Connections[0].Open)
	t.Logf("%d accepted, %d gone", accepted.Load(), gone)
}

// A server with few descriptors is given more connections than it has: it must wait for some to end, neither die nor spin, and serve again.
func TestAcceptOutlivesAShortageOfDescriptors(t *testing.T) {
	l, path := socket(t)
	file, err := l.File()
	require.NoError(t, err)
	defer file.Close() //nolint:errcheck // a test
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperEnv+"=server")
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() {
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}()
	ok := make([]byte, 16)
	n, err := out.Read(ok)
	require.NoError(t, err)
	require.Equal(t, "ok\n", string(ok[:n]))

	ask := func(c net.Conn) string {
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		return string(b[:n])
	}
	var open []net.Conn
	for range 60 {
		c, err := net.Dial("unix", path)
		require.NoError(t, err)
		open = append(open, c)
	}
	require.Regexp(t, "^HTTP/1.1 (200|503) ", ask(open[0]), "those that fit are answered, and nobody is told 403")
	for _, c := range open {
		require.NoError(t, c.Close())
	}
	// The shortage may cost a connection or two more, until the server has seen that the others ended. The server is never told to start anew.
	for deadline := time.Now().Add(20 * time.Second); ; {
		c, err := net.Dial("unix", path)
		require.NoError(t, err)
		answer := ask(c)
		require.NoError(t, c.Close())
		if strings.HasPrefix(answer, "HTTP/1.1 200 OK") {
			break
		}
		require.True(t, time.Now().Before(deadline), "it never recovers: %q", answer)
		require.NotContains(t, answer, "403")
	}
}

func TestAcceptBacksOffAndStopsAtOnce(t *testing.T) {
	for _, errno := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ECONNABORTED} {
		require.True(t, passing(&net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", errno)}), errno)
	}
	for _, err := range []error{net.ErrClosed, os.ErrDeadlineExceeded, unix.EINVAL, unix.EBADF} {
		require.False(t, passing(&net.OpError{Op: "accept", Err: err}), err)
	}
	p := newPeers(t, Config{})
	l, _ := listen(t, p, Scope{Name: "workload"})
	paused := make(chan bool)
	go func() { paused <- l.(*listener).pause(time.Hour) }()
	require.NoError(t, l.Close())
	require.False(t, <-paused)
	require.ErrorIs(t, l.Close(), net.ErrClosed)
	_, err := l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestDrainClosesWhatWaited(t *testing.T) {
	weak := newPeers(t, Config{ForcePIDProof: true})
	strong := newPeers(t, Config{})
	l, path := socket(t)
	var waiting []int
	for range 5 {
		fd, err := dial([]string{path})
		require.NoError(t, err)
		waiting = append(waiting, fd)
	}
	n, err := strong.DrainBacklog(l)
	require.NoError(t, err)
	require.Zero(t, n, "a pidfd cannot be deceived")
	before := descriptors(t)
	n, err = weak.DrainBacklog(l)
	require.NoError(t, err)
	require.Equal(t, 5, n)
	require.Equal(t, before, descriptors(t))
	for _, fd := range waiting {
		n, err := unix.Read(fd, make([]byte, 1))
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, unix.Close(fd))
	}
	n, err = weak.DrainBacklog(l)
	require.NoError(t, err)
	require.Zero(t, n)

	fd, err := dial([]string{path})
	require.NoError(t, err)
	defer unix.Close(fd) //nolint:errcheck // a test
	require.Equal(t, Host, who(t, accept(t, weak.Listen(l, Scope{Name: "workload"}))).Kind, "who comes later is served")

	require.NoError(t, l.Close())
	_, err = weak.DrainBacklog(l)
	require.ErrorIs(t, err, net.ErrClosed)
}
