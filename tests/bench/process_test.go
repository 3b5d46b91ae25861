package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cpuOf is the processor time that a process has used, by the scheduler's own count:
// the ticks of /proc/<pid>/stat are too coarse for a few thousand requests.
func cpuOf(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	sum := time.Duration(0)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(tb, err)
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		require.NoError(tb, err)
		sum += time.Duration(ns)
	}
	return sum
}

// mib is a field of /proc/<pid>/smaps_rollup or status, in MiB.
func mib(tb testing.TB, pid int, file, field string) float64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	require.NoError(tb, err)
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte(field+":")); ok {
			kib, err := strconv.ParseFloat(strings.Fields(string(value))[0], 64)
			require.NoError(tb, err)
			return kib / 1024
		}
	}
	require.FailNow(tb, "no field "+field)
	return 0
}

// pssOf is the proportional share of memory of several processes together.
func pssOf(tb testing.TB, pids []int) float64 {
	tb.Helper()
	sum := 0.0
	for _, pid := range pids {
		sum += mib(tb, pid, "smaps_rollup", "Pss")
	}
	return sum
}

// processesWith lists processes by a substring of their command line and what they run.
func processesWith(tb testing.TB, program, argument string) []int {
	tb.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(tb, err)
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// A process that ended meanwhile is none.
		line, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		name, rest, _ := strings.Cut(string(line), "\x00")
		if filepath.Base(name) == program && strings.Contains(rest, argument) {
			pids = append(pids, pid)
		}
	}
	return pids
}
