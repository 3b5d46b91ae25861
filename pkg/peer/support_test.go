package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// testNamespace is a containerd namespace of this process alone: what the tests make meets nothing that is there.
func testNamespace() string { return "edged-peer-test-" + strconv.Itoa(os.Getpid()) }

// child is a helper process that obeys.
type child struct {
	t      testing.TB
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	reaped bool
}

func startChild(t testing.TB, attr *syscall.SysProcAttr) *child {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperEnv+"=client", "GODEBUG=asyncpreemptoff=1")
	cmd.SysProcAttr = attr
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &child{t: t, cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout)}
	t.Cleanup(c.reap)
	return c
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// do sends one command and returns the answer.
func (c *child) do(words ...any) string {
	c.t.Helper()
	_, err := fmt.Fprintln(c.stdin, words...)
	require.NoError(c.t, err)
	line, err := c.stdout.ReadString('\n')
	require.NoError(c.t, err, "helper died at %v", words)
	answer, ok := strings.CutPrefix(strings.TrimSpace(line), "ok")
	require.True(c.t, ok, "%v: %s", words, line)
	return strings.TrimSpace(answer)
}

// kill ends the process; it stays a zombie until reap.
func (c *child) kill() {
	c.t.Helper()
	require.NoError(c.t, unix.Kill(c.pid(), unix.SIGKILL))
	require.NoError(c.t, unix.Waitid(unix.P_PID, c.pid(), nil, unix.WEXITED|unix.WNOWAIT, nil))
}

func (c *child) reap() {
	if c.reaped {
		return
	}
	c.reaped = true
	_ = c.stdin.Close()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// cgroup2 returns where the v2 hierarchy is mounted: every host has it, v1 ones beside theirs.
func cgroup2(t testing.TB) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1]
		}
	}
	require.FailNow(t, "no cgroup2 file system is mounted")
	return ""
}

// makeCgroup makes a cgroup of the v2 hierarchy, and removes it, and what it was made below where nothing else is, at the end.
func makeCgroup(t testing.TB, path string) {
	t.Helper()
	root, home := cgroup2(t), ownCgroup(t)
	dir := filepath.Join(root, path)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	t.Cleanup(func() {
		// A process that was reaped leaves its cgroup a moment later.
		for deadline := time.Now().Add(5 * time.Second); ; {
			err := unix.Rmdir(dir)
			if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
				break
			}
			procs, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			for _, pid := range strings.Fields(string(procs)) {
				_ = os.WriteFile(filepath.Join(root, home, "cgroup.procs"), []byte(pid), 0)
			}
			runtime.Gosched()
		}
		for d := filepath.Dir(dir); d != root && unix.Rmdir(d) == nil; {
			d = filepath.Dir(d)
		}
	})
}

// ownCgroup returns where this process is itself: the root of a cgroup namespace may not take processes.
func ownCgroup(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/cgroup")
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSpace(path)
		}
	}
	require.FailNow(t, "this process is in no cgroup of the v2 hierarchy")
	return ""
}

// enter puts a process into a cgroup.
func enter(t testing.TB, path string, pid int) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(cgroup2(t), path, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0))
}

// startModule starts a helper in a cgroup as edged would make it, and records it as a module's first process.
func startModule(t testing.TB, table *Table, module string, attr *syscall.SysProcAttr) (*child, *Instance) {
	t.Helper()
	id := fmt.Sprintf("%s-%d", module, sequence.Add(1))
	makeCgroup(t, table.namespace+"/"+id)
	c := startChild(t, attr)
	enter(t, table.namespace+"/"+id, c.pid())
	k := newKernel(t)
	in, err := k.Record(c.pid(), id)
	require.NoError(t, err)
	in.Module = module
	require.NoError(t, table.Add(&in))
	return c, &in
}

var sequence atomic.Int64

func newKernel(t testing.TB) *Kernel {
	t.Helper()
	k, err := NewKernel()
	require.NoError(t, err)
	t.Cleanup(k.Close)
	return k
}

func newPeers(t testing.TB, cfg Config) *Peers {
	t.Helper()
	if cfg.Table == nil {
		cfg.Table = NewTable(testNamespace())
	}
	p, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// socket makes a listening socket and returns it with its path.
func socket(t testing.TB) (*net.UnixListener, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o666))
	for dir := filepath.Dir(path); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, path
}

// listen makes a listener of the package and returns it with its path.
func listen(t testing.TB, p *Peers, s Scope) (net.Listener, string) {
	t.Helper()
	l, path := socket(t)
	wrapped := p.Listen(l, s)
	t.Cleanup(func() { _ = wrapped.Close() })
	return wrapped, path
}

// accept takes the next connection.
func accept(t testing.TB, l net.Listener) *Conn {
	t.Helper()
	require.NoError(t, l.(*listener).inner.SetDeadline(time.Now().Add(10*time.Second)))
	c, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c.(*Conn)
}

// who asks a connection for its caller.
func who(t testing.TB, c *Conn) Caller {
	t.Helper()
	caller, err := c.Caller(context.Background())
	require.NoError(t, err)
	return caller
}

// descriptors counts what this process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}
