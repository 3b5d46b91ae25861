package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// builder makes rows: 2,000 names in 20 streams, 3,000 components with five packages in
// ten versions each; five packages and three dependencies a row, and a modulemd.
type builder struct {
	r    *rand.Rand
	made int
}

func (m *builder) row() map[string]any {
	m.made++
	pick := func(format string, n int) string { return fmt.Sprintf(format, m.r.IntN(n)) }
	name, stream, version, context := pick("module-%d", 2000), pick("f%d", 20), fmt.Sprint(20180000000000+int64(m.made)), fmt.Sprintf("%08x", m.r.Uint32())
	dep := func() map[string]any {
		return map[string]any{"dependency": pick("module-%d", 2000), "stream": pick("f%d", 20)}
	}
	rpms := []map[string]any{}
	for i := range 5 {
		component, version := pick("component-%d", 3000), pick("1.%d", 10)
		rpms = append(rpms, map[string]any{
			"name": fmt.Sprintf("%s-libs%d", component, i), "epoch": 0, "version": version, "release": "1.fc29", "arch": "x86_64",
			"srpm_name": component, "srpm_nevra": fmt.Sprintf("%s-0:%s-1.fc29.src", component, version), "srpm_commit_branch": stream,
		})
	}
	return map[string]any{
		"name": name, "stream": stream, "version": version, "context": context, "koji_tag": fmt.Sprintf("module-%016x", m.r.Uint64()), "active": m.r.IntN(2) == 0,
		"modulemd": fmt.Sprintf("document: modulemd\nversion: 2\ndata:\n  name: %s\n  stream: %s\n  version: %s\n  context: %s\n  summary: A module of a benchmark\n  description: >-\n    As long as such a description is.\n  license:\n    module: [MIT]\n  dependencies:\n  - buildrequires: {platform: [f29]}\n    requires: {platform: [f29]}\n  api:\n    rpms: [bash, bzip2, coreutils, cpio, diffutils, findutils, gawk, grep]\n",
			name, stream, version, context),
		"runtime_deps": []any{dep(), dep()}, "build_deps": []any{map[string]any{"dependency": "platform", "stream": stream}}, "rpms": rpms,
	}
}

func (m *builder) rows(b *testing.B, n int) []byte {
	b.Helper()
	all := make([]map[string]any, n)
	for i := range all {
		all[i] = m.row()
	}
	text, err := json.Marshal(all)
	require.NoError(b, err)
	return text
}

const catalogPath = "/rest_api/v1/modules/"

func postRows(b *testing.B, client *http.Client, rows []byte) time.Duration {
	b.Helper()
	began := time.Now()
	res, err := client.Post("http://localhost"+catalogPath, "application/json", bytes.NewReader(rows))
	require.NoError(b, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	require.NoError(b, err)
	require.Equal(b, http.StatusCreated, res.StatusCode, string(answer[:min(len(answer), 1000)]))
	return time.Since(began)
}

// readWhole reads a file to its end.
func readWhole(b *testing.B, path string) int64 {
	b.Helper()
	f, err := os.Open(path)
	require.NoError(b, err)
	defer f.Close()
	n, err := io.Copy(io.Discard, f)
	require.NoError(b, err)
	return n
}

// BenchmarkCatalog is the catalog over the management socket, with BENCH_BUILDS rows that
// came over it too (200,000; a million takes ten minutes to come). Beside each figure stands
// how long a list of one module takes, which is what a request costs that asks nothing.
func BenchmarkCatalog(b *testing.B) {
	total := fromEnv(b, "BENCH_BUILDS", 200_000)
	d := newDevice(b, "[catalog]\nindex = false\n")
	client := device.UnixClient(d.Management())
	m := &builder{r: rand.New(rand.NewPCG(1, 2))}
	began := time.Now()
	for m.made < total {
		postRows(b, client, m.rows(b, min(1000, total-m.made)))
	}
	b.Logf("%d rows came in %s", total, time.Since(began))
	b.Logf("the database has %d MiB, all of them in the kernel's memory: what is measured is edged, not the disk", readWhole(b, filepath.Join(d.Home, "catalog.db"))>>20)

	pages := total / 20
	r := m.r
	pick := func(format string, n int) string { return fmt.Sprintf(format, r.IntN(n)) }
	page := func(name string, limit float64, query func() url.Values) {
		b.Run(name, func(b *testing.B) {
			plain := newTarget(b, d.Management(), "/modules?"+device.Version)
			var took, floor []time.Duration
			rounds(b, 100, func() {
				began := time.Now()
				res, err := client.Get("http://localhost" + catalogPath + "?" + query().Encode())
				require.NoError(b, err)
				answer, err := io.ReadAll(res.Body)
				require.NoError(b, err)
				_ = res.Body.Close()
				took = append(took, time.Since(began))
				require.Equal(b, http.StatusOK, res.StatusCode, string(answer))
				floor = append(floor, plain.ask(b))
			})
			figure(b, "list-1-p50-ms", ms(median(floor)))
			figure(b, "first-ms", ms(took[0]))
			figure(b, "p99-ms", ms(sorted(took)[len(took)*99/100]))
			atMost(b, "p50-ms", ms(median(took)), limit)
		})
	}
	page("first-page", 2, func() url.Values { return url.Values{} })
	page("deep-page", 2, func() url.Values { return url.Values{"page": {fmt.Sprint(1 + r.IntN(pages))}} })
	page("by-name", 1, func() url.Values { return url.Values{"name": {pick("MODULE-%d", 2000)}} })
	page("by-stream", 1, func() url.Values { return url.Values{"stream": {pick("f%d", 20)}} })
	page("by-koji-tag", 1, func() url.Values { return url.Values{"koji_tag": {"module-0123456789abcdef"}} })
	page("by-active", 1, func() url.Values { return url.Values{"active": {"true"}} })
	page("by-active-deep", 2, func() url.Values {
		return url.Values{"active": {"true"}, "page": {fmt.Sprint(1 + r.IntN(pages/3))}}
	})
	page("by-component", 12, func() url.Values { return url.Values{"component_name": {pick("component-%d", 3000)}} })
	page("by-component-and-dependency", 12, func() url.Values {
		return url.Values{"component_name": {pick("component-%d", 3000)}, "runtime_dep_name": {pick("module-%d", 2000)}}
	})
	page("by-component-and-active", 12, func() url.Values {
		return url.Values{"component_name": {pick("component-%d", 3000)}, "active": {"true"}}
	})
	page("ordered-by-version-deep", 2, func() url.Values {
		return url.Values{"ordering": {"-version"}, "page": {fmt.Sprint(1 + r.IntN(pages))}}
	})

	b.Run("bulk-1000", func(b *testing.B) {
		var took []time.Duration
		rounds(b, 10, func() {
			rows := m.rows(b, 1000)
			time.Sleep(500 * time.Millisecond) // what was written is brought to its place meanwhile
			took = append(took, postRows(b, client, rows))
		})
		figure(b, "max-ms", ms(sorted(took)[len(took)-1]))
		atMost(b, "p50-ms", ms(median(took)), 500)
	})

	// What a module's operations wait for while somebody writes into the catalog without end.
	b.Run("modules-meanwhile", func(b *testing.B) {
		life := loop{Calls: moduleLife(d), Prefix: "m", Workers: 1, Cycles: 1}
		var alone, meanwhile loopResult
		run := func(into *loopResult) {
			into.Cycles = append(into.Cycles, life.run(b, d.Agent()).Cycles...)
			life.First++
		}
		rounds(b, 10, func() {
			for range 3 {
				run(&alone)
			}
			rows := [][]byte{m.rows(b, 1000), m.rows(b, 1000)}
			ctx, stop := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				for _, r := range rows {
					if ctx.Err() == nil {
						postRows(b, client, r)
					}
				}
			})
			run(&meanwhile)
			stop()
			wg.Wait()
		})
		for i, name := range []string{"create", "start", "stop", "delete"} {
			figure(b, name+"-ms", ms(median(alone.call(i))))
			figure(b, name+"-meanwhile-ms", ms(median(meanwhile.call(i))))
		}
	})

	b.Run("memory", func(b *testing.B) {
		for b.Loop() {
			quiet(b)
			figure(b, "after-writing-RSS-MiB", mib(b, d.Edged.PID(), "status", "VmRSS"))
			d.Edged.Signal(syscall.SIGTERM)
			d.StartEdged()
			d.WaitFor("edgeAgent", "running")
			for range 200 {
				for _, query := range []string{"", "page=" + fmt.Sprint(1+r.IntN(pages)), "name=" + pick("module-%d", 2000), "component_name=" + pick("component-%d", 3000), "ordering=-version&page=" + fmt.Sprint(1+r.IntN(pages))} {
					res, err := client.Get("http://localhost" + catalogPath + "?" + query)
					require.NoError(b, err)
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			}
			quiet(b)
			figure(b, "anon-MiB", mib(b, d.Edged.PID(), "status", "RssAnon"))
			atMost(b, "RSS-MiB", mib(b, d.Edged.PID(), "status", "VmRSS"), 40)
		}
		b.ReportMetric(0, "ns/op")
	})
}
