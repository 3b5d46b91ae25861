package identity

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// statFields are those of /proc/<pid>/stat behind the name, from the third, the state, on (proc_pid_stat(5)).
func statFields(stat string) []string {
	return strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
}

// freeze stops every thread of a process; what it does not accept stays in the backlog.
func freeze(t *testing.T, pid int) {
	t.Helper()
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	require.Eventually(t, func() bool {
		threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
		require.NoError(t, err)
		for _, file := range threads {
			b, err := os.ReadFile(file)
			if err != nil || statFields(string(b))[0] != "T" {
				return false
			}
		}
		return len(threads) > 0
	}, 10*time.Second, time.Millisecond)
}

func thaw(t *testing.T, pid int) {
	t.Helper()
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
}

// recycle makes the puppet fork until its child has the process id. Others on the machine take ids too, and one of them may have got this one.
func recycle(t *testing.T, victim *puppet, pid int) bool {
	t.Helper()
	for range 50 {
		require.NoError(t, os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0))
		victim.do(t, command{Op: "fork"})
		if b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
			return statFields(string(b))[1] == strconv.Itoa(victim.pid) // the parent's
		}
	}
	return false
}

// descriptors counts what a process has open.
// restingDescriptors waits until edged has done what follows a start: for a second it has had as many.
func restingDescriptors(t *testing.T, pid int) int {
	t.Helper()
	n, since := descriptors(t, pid), time.Now()
	for end := time.Now().Add(time.Minute); time.Since(since) < time.Second; time.Sleep(20 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "edged has no rest")
		if now := descriptors(t, pid); now != n {
			n, since = now, time.Now()
		}
	}
	return n
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	require.NoError(t, err)
	return len(entries)
}
