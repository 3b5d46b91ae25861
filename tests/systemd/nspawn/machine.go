// Package nspawn boots a Debian with a real systemd and containerd as a container of this machine, for tests of units and packages. The host need not
// run systemd itself. It needs root, and fails without.
package nspawn

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cache is where the root file system is kept from one run to the next, and where machines have their files: it has to be on a disk.
const cache = "/var/cache/edged-test"

// patience is how long the machine may take to boot, and a command in it to end.
const patience = 2 * time.Minute

//go:embed boot.sh
var bootScript string

// Machine is a machine that was prepared, and runs from Boot to the end of the test. Not for concurrent use before Boot.
type Machine struct {
	t      testing.TB
	name   string
	folder string
	root   string
	cmd    *exec.Cmd
	exited chan struct{}
	leader int
}

// New prepares a machine of a kind that contrib/setup/nspawn-root.sh knows, which makes its root file system when it is absent.
// Everything is removed when the test ends.
func New(t testing.TB, kind string) *Machine {
	t.Helper()
	require.Zero(t, os.Getuid(), "the systemd tests need root")
	root := Root(t, kind)

	folder := newFolder(t)
	for _, dir := range []string{"upper", "work", "root", "containerd"} {
		require.NoError(t, os.Mkdir(filepath.Join(folder, dir), 0o755))
	}
	return &Machine{t: t, name: filepath.Base(folder), folder: folder, root: root, exited: make(chan struct{})}
}

// Install copies a file of the host into the machine, before Boot or after.
func (m *Machine) Install(from, to string, mode os.FileMode) {
	m.t.Helper()
	b, err := os.ReadFile(from)
	require.NoErrorf(m.t, err, "cannot install %s", to)
	m.Write(to, b, mode)
}

// Write makes a file in the machine, before Boot or after. Folders above it are 0755.
func (m *Machine) Write(to string, b []byte, mode os.FileMode) {
	m.t.Helper()
	name := filepath.Join(m.folder, "upper", to)
	if m.leader != 0 {
		name = m.Path(to)
	}
	require.NoError(m.t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(m.t, os.WriteFile(name, b, mode))
	require.NoError(m.t, os.Chmod(name, mode))
}

// Path is where the host finds a file of the machine that runs. Links are followed as the host would: absolute ones lead out.
func (m *Machine) Path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(m.leader), "root", name)
}

// Boot starts the machine and returns when its systemd says that all its units are up. At the end of the test it is shut down.
func (m *Machine) Boot() {
	m.t.Helper()
	notify := filepath.Join(m.folder, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	require.NoError(m.t, err)
	defer func() { require.NoError(m.t, conn.Close()) }()

	console, err := os.Create(filepath.Join(m.folder, "console"))
	require.NoError(m.t, err)
	defer func() { require.NoError(m.t, console.Close()) }()
	m.cmd = exec.Command("unshare", "--mount", "--propagation", "private", "--", "bash", "-c", bootScript, "boot.sh",
		m.folder, m.root, m.name)
	m.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NOTIFY_SOCKET=" + notify}
	m.cmd.Stdout, m.cmd.Stderr = console, console
	// When the test is killed, systemd-nspawn is told to shut the machine down. It is told when the thread that started it ends, so it has to be one
	// that stays. A kill would not do: the machine goes on without systemd-nspawn.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := m.cmd.Start()
		started <- err
		if err == nil {
			_ = m.cmd.Wait()
		}
		close(m.exited)
	}()
	require.NoError(m.t, <-started, "cannot start systemd-nspawn")
	m.t.Cleanup(m.stop)

	require.NoErrorf(m.t, m.awaitReady(conn), "cannot boot the machine: %s", m.Console())
	m.writableCgroups()
}

// awaitReady reads what systemd-nspawn tells (sd_notify(3)): the first process of the machine, and that its systemd is done.
func (m *Machine) awaitReady(conn *net.UnixConn) error {
	go func() {
		<-m.exited
		_ = conn.SetReadDeadline(time.Now())
	}()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return fmt.Errorf("cannot limit wait: %w", err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return fmt.Errorf("cannot read notification: %w", err)
		}
		ready := false
		for line := range strings.Lines(string(buf[:n])) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "X_NSPAWN_LEADER_PID":
				if m.leader, err = strconv.Atoi(value); err != nil {
					return fmt.Errorf("cannot read leader: %w", err)
				}
			case "READY":
				ready = value == "1"
			}
		}
		if ready && m.leader != 0 {
			return nil
		}
	}
}

// writableCgroups undoes what systemd-nspawn does to cgroup v1 hierarchies: containerd inside makes cgroups there.
func (m *Machine) writableCgroups() {
	m.t.Helper()
	out, err := m.Enter("sh", "-c", `for c in cpu cpuacct cpuset memory devices freezer blkio pids; do
		if mountpoint -q /sys/fs/cgroup/$c; then mount -o remount,bind,rw /sys/fs/cgroup/$c; fi
	done`)
	require.NoErrorf(m.t, err, "cannot make cgroups writable: %s", out)
}

// Console is what the machine wrote to its console.
func (m *Machine) Console() string {
	b, err := os.ReadFile(filepath.Join(m.folder, "console"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Enter runs a command in the machine's namespaces, outside its services, and returns what it printed. For systemctl and the like: edged does not
// take such a process for one of the host's, because its cgroup is not the machine's.
func (m *Machine) Enter(args ...string) (string, error) {
	var out bytes.Buffer
	err := m.enter(&out, &out, args)
	return strings.TrimSpace(out.String()), err
}

// Run runs a command as a service of the machine, as root, and returns its standard output. The error has what it wrote to standard error, and is an
// exec.ExitError with its exit code when it ran.
func (m *Machine) Run(args ...string) (string, error) { return m.service(nil, args) }

// RunAs is Run as a user of the machine, with all of that user's groups.
func (m *Machine) RunAs(user string, args ...string) (string, error) {
	return m.service([]string{"--uid=" + user}, args)
}

// RunInSession is Run in a session of its own, as after a login of that user (pam_systemd(8)): under user.slice, not under system.slice.
func (m *Machine) RunInSession(user string, args ...string) (string, error) {
	return m.service([]string{"--uid=" + user, "--property=PAMName=login"}, args)
}

func (m *Machine) service(options, args []string) (string, error) {
	var out, errs bytes.Buffer
	run := append([]string{"systemd-run", "--quiet", "--pipe", "--wait", "--collect"}, options...)
	err := m.enter(&out, &errs, append(run, args...))
	if err != nil {
		err = fmt.Errorf("cannot run %s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), err
}

// Systemctl runs systemctl, and ends the test when that fails.
func (m *Machine) Systemctl(args ...string) string {
	m.t.Helper()
	out, err := m.Enter(append([]string{"systemctl"}, args...)...)
	require.NoErrorf(m.t, err, "systemctl %s: %s", strings.Join(args, " "), out)
	return out
}

// Property is one property of a unit, as systemctl show prints it.
func (m *Machine) Property(unit, name string) string {
	m.t.Helper()
	return m.Systemctl("show", "--value", "--property", name, unit)
}

func (m *Machine) enter(stdout, stderr io.Writer, args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	enter := []string{"-t", strconv.Itoa(m.leader), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd.Run()
}

// Processes are the numbers, on the host, of the machine's processes of that name (proc(5), comm: 15 bytes at most).
func (m *Machine) Processes(comm string) []int {
	m.t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	require.NoError(m.t, err)
	var pids []int
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil || strings.TrimSpace(string(b)) != comm {
			continue // it ended meanwhile, or is another
		}
		cgroup, err := os.ReadFile(filepath.Join(filepath.Dir(name), "cgroup"))
		if err != nil || !bytes.Contains(cgroup, []byte("/"+m.name)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		require.NoError(m.t, err)
		pids = append(pids, pid)
	}
	return pids
}

// stop shuts the machine down, by force when it takes too long.
func (m *Machine) stop() {
	_ = m.cmd.Process.Signal(syscall.SIGTERM) // systemd-nspawn asks the machine to power off
	select {
	case <-m.exited:
	case <-time.After(45 * time.Second):
		m.t.Errorf("the machine did not shut down: %s", m.Console())
		_ = m.cmd.Process.Kill()
		<-m.exited
	}
}
