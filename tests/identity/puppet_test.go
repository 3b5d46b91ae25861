package identity

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/tests/device"
)

// command and result are the probe's Command and Result.
type command struct {
	Op, Conn, Path, Dir, Text string
	N                         int
}

type result struct {
	Error  string
	Status int
	Text   string
	Closed bool
}

// puppet is a process inside a container that does what the test says.
type puppet struct {
	pid  int // on the host, as the kernel says
	conn net.Conn
	out  *json.Encoder
	in   *json.Decoder
}

// puppet starts a process in a module.
func (r *rig) puppet(t *testing.T, module string) *puppet {
	t.Helper()
	return r.puppetBy(t, module, func(socket string) {
		status, text := r.Probe(module).Do(http.MethodPost, "/spawn?path="+url.QueryEscape(socket), "")
		require.Equal(t, http.StatusOK, status, text)
	})
}

// puppetBy takes the process that start brings to life, whichever way; socket is where it has to call, as the module sees it.
func (r *rig) puppetBy(t *testing.T, module string, start func(socket string)) *puppet {
	t.Helper()
	r.puppets++
	name := "p" + strconv.Itoa(r.puppets)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(r.ProbeDir(module), name), Net: "unix"})
	require.NoError(t, err)
	defer l.Close()
	start("/probe/" + name)
	require.NoError(t, l.SetDeadline(time.Now().Add(device.Patience(t))))
	conn, err := l.AcceptUnix()
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	var cred *unix.Ucred
	require.NoError(t, raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }))
	require.NoError(t, err)
	return &puppet{pid: int(cred.Pid), conn: conn, out: json.NewEncoder(conn), in: json.NewDecoder(conn)}
}

// try makes the puppet do something that may fail.
func (p *puppet) try(t *testing.T, c command) result {
	t.Helper()
	require.NoError(t, p.conn.SetDeadline(time.Now().Add(device.Patience(t))))
	require.NoError(t, p.out.Encode(c))
	var r result
	require.NoError(t, p.in.Decode(&r))
	return r
}

func (p *puppet) do(t *testing.T, c command) result {
	t.Helper()
	r := p.try(t, c)
	require.Empty(t, r.Error, "%+v", c)
	return r
}

// dial makes a connection under a name.
func (p *puppet) dial(t *testing.T, conn, path string) {
	t.Helper()
	p.do(t, command{Op: "dial", Conn: conn, Path: path})
}

// ask sends a request and takes the answer.
func (p *puppet) ask(t *testing.T, conn, request string) result {
	t.Helper()
	p.do(t, command{Op: "send", Conn: conn, Text: request})
	return p.do(t, command{Op: "answer", Conn: conn})
}

// exit ends the process and returns when its parent has seen to it: its process id is free.
func (p *puppet) exit(t *testing.T) {
	t.Helper()
	start := startTime(t, p.pid)
	require.NotEmpty(t, start)
	require.NoError(t, p.out.Encode(command{Op: "exit"}))
	require.Eventually(t, func() bool { return startTime(t, p.pid) != start }, 10*time.Second, time.Millisecond)
}

// startTime tells the processes apart that one id had after each other; empty is no process.
func startTime(t *testing.T, pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	fields := statFields(string(b))
	require.Greater(t, len(fields), 19)
	return fields[19]
}
