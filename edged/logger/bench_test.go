package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program builds the logger as it is shipped.
func program(b *testing.B) string {
	b.Helper()
	exe := filepath.Join(b.TempDir(), "edged-logger")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", exe, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(b, err, string(out))
	return exe
}

// BenchmarkIngest is a module that writes as fast as it can, through a real pipe: 100-byte lines, 32 KiB a write.
func BenchmarkIngest(b *testing.B) {
	l := startLogger(b, program(b), "--dir", b.TempDir())
	line := []byte(strings.Repeat("x", 99) + "\n")
	text := bytes.Repeat(line, 327)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, err := l.out.Write(text)
		require.NoError(b, err)
	}
	b.StopTimer()
	l.finish(b)
}

// BenchmarkMemory is what twenty loggers cost, each: before their modules wrote anything, and after, in silence again.
func BenchmarkMemory(b *testing.B) {
	exe := program(b)
	for b.Loop() {
		var all []*run
		for i := range 20 {
			all = append(all, startLogger(b, exe, "--dir", filepath.Join(b.TempDir(), strconv.Itoa(i))))
		}
		pss := func() float64 {
			sum := 0
			for _, l := range all {
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", l.cmd.Process.Pid))
				require.NoError(b, err)
				_, rest, _ := strings.Cut(string(text), "\nPss:")
				kib, err := strconv.Atoi(strings.Fields(rest)[0])
				require.NoError(b, err)
				sum += kib
			}
			return float64(sum) / float64(len(all))
		}
		fresh := pss()
		for _, l := range all {
			for range 100 {
				write(b, l.out, strings.Repeat(strings.Repeat("y", 99)+"\n", 300))
			}
		}
		time.Sleep(2 * time.Second)
		b.ReportMetric(fresh, "fresh-KiB")
		b.ReportMetric(pss(), "idle-KiB")
		for _, l := range all {
			l.finish(b)
		}
	}
}
