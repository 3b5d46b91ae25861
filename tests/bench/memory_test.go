package bench

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// quiet is how long all have had nothing to do when their memory is looked at: until edged
// has given back what it took to work, and has done what follows a start. The garbage of
// containerd and the shims goes within some minutes only, and is what the figures of
// everything vary by.
func quiet(b *testing.B) {
	b.Helper()
	time.Sleep(time.Duration(fromEnv(b, "BENCH_QUIET", 45)) * time.Second)
}

// BenchmarkMemory is edged by itself and all processes together, with 20 modules that do nothing.
func BenchmarkMemory(b *testing.B) {
	for _, c := range []struct {
		name, config string
		everything   float64
	}{
		{"shim-each", "", 145},
		{"shared-shim", "[containerd]\nshared_shim = true\n", 95},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := newFleet(b, c.config)
			for b.Loop() {
				quiet(b)
				// The first start of all imports images, once in a device's life, and both
				// daemons keep its garbage for minutes.
				figure(b, "first-boot-RSS-MiB", rss(b, f, "VmRSS"))
				f.Edged.Signal(syscall.SIGTERM)
				f.Containerd.Signal(syscall.SIGTERM)
				f.StartContainerd()
				f.StartEdged()
				f.WaitFor("edgeAgent", "running")
				quiet(b)
				atMost(b, "fresh-RSS-MiB", rss(b, f, "VmRSS"), 26)
				atMost(b, "fresh-anon-MiB", rss(b, f, "RssAnon"), 9)
				f.run(b, 20)
				quiet(b)
				atMost(b, "20-RSS-MiB", rss(b, f, "VmRSS"), 32)
				atMost(b, "20-anon-MiB", rss(b, f, "RssAnon"), 13)
				loggers := processesWith(b, "edged-logger", f.Root)
				require.Len(b, loggers, 20)
				shims := processesWith(b, "containerd-shim-runc-v2", f.Namespace)
				atMost(b, "logger-PSS-MiB", pssOf(b, loggers)/20, 0.8)
				figure(b, "shims-PSS-MiB", pssOf(b, shims))
				figure(b, "edged-PSS-MiB", pssOf(b, []int{f.Edged.PID()}))
				figure(b, "containerd-PSS-MiB", pssOf(b, []int{f.Containerd.PID()}))
				all := append(append([]int{f.Edged.PID(), f.Containerd.PID()}, loggers...), shims...)
				atMost(b, "everything-PSS-MiB", pssOf(b, all), c.everything)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func rss(b *testing.B, f *fleet, field string) float64 {
	b.Helper()
	return mib(b, f.Edged.PID(), "status", field)
}

// BenchmarkGrowth is what edged's memory and database grow by when it works for long.
func BenchmarkGrowth(b *testing.B) {
	b.Run("10000-requests", func(b *testing.B) {
		f := newFleet(b, "")
		f.grow(b, 20)
		agent := f.Agent()
		ask := func(n int) {
			loop{Calls: []device.Call{{Method: "GET", Path: listPath}, {Method: "GET", Path: onePath}}, Cycles: n / 2, Workers: 4}.run(b, agent)
		}
		ask(2000) // what is kept ready is there after the first
		quiet(b)
		before := rss(b, f, "VmRSS")
		for b.Loop() {
			ask(10_000)
			quiet(b)
			atMost(b, "grown-MiB", rss(b, f, "VmRSS")-before, 4)
		}
		b.ReportMetric(0, "ns/op")
	})
	updates := fromEnv(b, "BENCH_UPDATES", 200)
	b.Run(fmt.Sprintf("%d-updates", updates), func(b *testing.B) {
		f := newFleet(b, "")
		f.Create(f.CommandSpec("changing", "sleep"))
		update(b, f, 0, 50)
		quiet(b)
		before := rss(b, f, "VmRSS")
		for b.Loop() {
			update(b, f, 50, updates)
			quiet(b)
			atMost(b, "grown-MiB", rss(b, f, "VmRSS")-before, 4)
			atMost(b, "database-MiB", databaseMiB(b, f), 8)
			require.Len(b, f.Containers("changing"), 1)
		}
		b.ReportMetric(0, "ns/op")
	})
}

// update gives a module a new specification n times, a few at a request of the probe.
func update(b *testing.B, f *fleet, first, n int) {
	b.Helper()
	spec := f.CommandSpec("changing", "sleep")
	spec = device.WithOptions(spec, func(top, _ map[string]any) { top["Env"] = []string{"REVISION=@"} })
	call := device.Call{Method: http.MethodPut, Path: "/modules/changing?" + device.Version, Body: f.Body(spec)}
	for n > 0 {
		some := min(n, 100)
		loop{Calls: []device.Call{call}, First: first, Cycles: some, Workers: 1}.run(b, f.Agent())
		first, n = first+some, n-some
	}
}

// databaseMiB is the database with all that SQLite has beside it.
func databaseMiB(b *testing.B, f *fleet) float64 {
	b.Helper()
	files, err := filepath.Glob(filepath.Join(f.Home, "edged.db*"))
	require.NoError(b, err)
	require.NotEmpty(b, files)
	sum := int64(0)
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(b, err)
		sum += info.Size()
	}
	return float64(sum) / (1 << 20)
}
