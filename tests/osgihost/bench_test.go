package osgihost

import (
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
