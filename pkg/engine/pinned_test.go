package engine

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// child starts a shell that starts a sleep, and returns it with the sleep's pid.
func child(t *testing.T, attr *syscall.SysProcAttr) (*exec.Cmd, int) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "sleep 1000 & echo $!; wait")
	cmd.SysProcAttr = attr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, pid
}

// state is R, S, T and so on as in proc(5), empty for a process that is gone or a zombie.
func state(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[0]
}

func TestAProbeIsKilledWithItsGroup(t *testing.T) {
	cmd, sleep := child(t, &syscall.SysProcAttr{Setsid: true})
	end := pin(sleep)
	defer end.close()
	probe := pin(cmd.Process.Pid)
	defer probe.close()
	probe.killGroup(os.Getpid())
	require.Error(t, cmd.Wait())
	ended(t, end.fd)
	require.Empty(t, state(sleep))
}

func TestAProbeThatLeadsNoGroupIsNotLeftStopped(t *testing.T) {
	cmd, sleep := child(t, nil)
	probe := pin(cmd.Process.Pid)
	defer probe.close()
	probe.killGroup(os.Getpid())
	require.Error(t, cmd.Wait())
	require.NotEmpty(t, state(sleep), "and its group is another's")
}

func TestAProcessOfAnotherContainerIsLeftAlone(t *testing.T) {
	cmd, _ := child(t, &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS})
	probe := pin(cmd.Process.Pid)
	defer probe.close()
	probe.killGroup(os.Getpid())
	require.NotContains(t, []string{"", "T"}, state(cmd.Process.Pid), "neither killed nor stopped")
	pinned{cmd.Process.Pid, -1}.killGroup(os.Getpid())
	require.NotContains(t, []string{"", "T"}, state(cmd.Process.Pid))
}

// ended waits until a pinned process has.
func ended(t *testing.T, fd int) {
	t.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}
