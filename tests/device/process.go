package device

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Process is a daemon of the device.
type Process struct {
	tb   testing.TB
	cmd  *exec.Cmd
	done chan struct{}
}

func start(tb testing.TB, log string, env []string, files []*os.File, name string, args ...string) *Process {
	tb.Helper()
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(tb, err)
	defer f.Close()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.ExtraFiles = files
	require.NoError(tb, cmd.Start(), name)
	p := &Process{tb: tb, cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	return p
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal and waits for the end of the process.
func (p *Process) Signal(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig)
	<-p.done
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// State is how it ended.
func (p *Process) State() *os.ProcessState { return p.cmd.ProcessState }

// Repository is the project's folder.
func Repository() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// processes returns the ids of processes whose arguments fit.
func processes(fit func(args []string) bool) []int {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && fit(strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func contains(args []string, s string) bool { return slices.Contains(args, s) }

// pidsInCgroup returns the ids of processes below a device's place in the hierarchies, and of those in the scopes that systemd made for its containers:
// what runc runs in the device's namespace says which these are.
func pidsInCgroup(namespace string) []int {
	places := []string{":/" + namespace + "/"}
	containers, _ := os.ReadDir(filepath.Join("/run/containerd/runc", namespace))
	for _, c := range containers {
		places = append(places, "/edged-"+c.Name()+".scope")
	}
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cgroup"))
		if slices.ContainsFunc(places, func(place string) bool { return strings.Contains(string(b), place) }) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// KillLogger kills the logger of a module.
func (d *Device) KillLogger(module string) {
	d.tb.Helper()
	pids := processes(func(args []string) bool {
		return len(args) > 0 && strings.HasSuffix(args[0], "edged-logger") && slices.ContainsFunc(args, func(a string) bool {
			return strings.HasPrefix(a, d.Home+"/logs/"+module+"-")
		})
	})
	require.Len(d.tb, pids, 1)
	require.NoError(d.tb, syscall.Kill(pids[0], syscall.SIGKILL))
}
