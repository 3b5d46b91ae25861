package osgihost

import (
	"crypto/rand"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/osgi"
)

// BenchmarkStart is the time from the start of the JVM to its hello, when all bundles run, and the memory that is resident two seconds later, idle with one bundle
// (gson) besides the host's own. The baseline is the same without the image's archive of classes.
func BenchmarkStart(b *testing.B) {
	for name, flags := range map[string][]string{"image": nil, "baseline-no-archive": {"-Xshare:off"}} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b)
			r.flags = flags
			h, l := r.start()
			l.on("start", l.install("dx:gson", osgi.Read(b, osgi.Debian(b, "gson"))).ID)
			require.Equal(b, 0, h.stop())
			resident := 0
			for b.Loop() {
				h, l = r.start()
				b.StopTimer()
				require.Equal(b, "ACTIVE", l.named("com.google.gson").State)
				time.Sleep(2 * time.Second)
				resident += rss(b, h.cmd.Process.Pid)
				require.Equal(b, 0, h.stop())
				b.StartTimer()
			}
			b.ReportMetric(float64(resident)/1024/float64(b.N), "MiB-RSS")
		})
	}
}

// BenchmarkList asks for 200 bundles besides the host's own; the baseline asks for nothing.
func BenchmarkList(b *testing.B) {
	_, l := newRig(b).start()
	for i := range 200 {
		l.on("start", l.install(fmt.Sprintf("dx:%d", i), plain(b, fmt.Sprintf("bundle%d", i), "1.0.0")).ID)
	}
	require.Greater(b, len(l.list()), 200)
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			l.call("list", nil)
		}
	})
	b.Run("baseline-ping", func(b *testing.B) {
		for b.Loop() {
			l.call("ping", nil)
		}
	})
}

// BenchmarkInstall installs and uninstalls a bundle of 1 MiB.
func BenchmarkInstall(b *testing.B) {
	_, l := newRig(b).start()
	random := make([]byte, 1<<20)
	_, _ = rand.Read(random)
	jar := osgi.Bundle(b, "large", "1.0.0", map[string][]byte{"random": random})
	for b.Loop() {
		l.on("uninstall", l.install("dx:large", jar).ID)
	}
}

// rss is a process's resident memory in KiB.
func rss(tb testing.TB, pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(tb, err)
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(tb, found)
	n, err := strconv.Atoi(string(found[1]))
	require.NoError(tb, err)
	return n
}
