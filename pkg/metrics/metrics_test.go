package metrics

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	logrustest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func text(t *testing.T, r *Registry) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, r.Write(&b, true))
	return b.String()
}

func TestRequestsAreCountedByTheirTemplates(t *testing.T) {
	r := New("1.2.3")
	q := r.NewRequests()
	get := q.Route("management", "/modules/{name}", "GET")
	get.Done(peer.Module, 200, 500*time.Microsecond)
	get.Done(peer.Module, 204, 50*time.Millisecond)
	get.Done(peer.Host, 404, 2*time.Millisecond)
	get.Done(peer.Unknown, 403, time.Millisecond)
	get.Done(NobodyAsked, Aborted, time.Minute)
	q.Refused("known", "gone")
	out := text(t, r)
	for _, line := range []string{
		`edged_http_requests_total{api="management",caller="module",code="2xx",method="GET",route="/modules/{name}"} 2`,
		`edged_http_requests_total{api="management",caller="host",code="4xx",method="GET",route="/modules/{name}"} 1`,
		`edged_http_requests_total{api="management",caller="unknown",code="4xx",method="GET",route="/modules/{name}"} 1`,
		`edged_http_requests_total{api="management",caller="none",code="aborted",method="GET",route="/modules/{name}"} 1`,
		`edged_http_request_duration_seconds_bucket{api="management",method="GET",route="/modules/{name}",le="0.001"} 2`,
		`edged_http_request_duration_seconds_bucket{api="management",method="GET",route="/modules/{name}",le="10"} 4`,
		`edged_http_request_duration_seconds_count{api="management",method="GET",route="/modules/{name}"} 5`,
		`edged_http_refusals_total{reason="gone",rule="known"} 1`,
		`edged_build_info{version="1.2.3"} 1`,
	} {
		require.Contains(t, out, line+"\n")
	}
	require.Contains(t, out, "\ngo_goroutines ")
	require.Contains(t, out, "\nprocess_resident_memory_bytes ")
	get.Done(peer.Host, 999, 0)
	get.Done(peer.Host, -5, 0)
	get.Done(peer.Kind(200), 200, 0)
	require.NotContains(t, text(t, r), "9xx", "what cannot be is not counted, and breaks nothing")
}

func TestNothingIsCountedWithoutARegistry(t *testing.T) {
	var q *Requests
	q.Refused("known", "gone")
	q.Route("a", "/b", "GET").Done(peer.Host, 200, 0)
}

func TestManyCountAtOnce(t *testing.T) {
	r := New("1")
	route := r.NewRequests().Route("a", "/b", "GET")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				route.Done(peer.Host, 200, 0)
			}
		})
	}
	wg.Wait()
	require.Contains(t, text(t, r), `route="/b"} 8000`)
}

func TestTheTextIsAsPrometheusWants(t *testing.T) {
	r := New("1")
	q := r.NewRequests()
	q.Route("a", "/b", "GET").Done(peer.Host, 200, 0)
	q.Refused("a", "b")
	r.NewDurations("edged_database_write_seconds", "X.")(time.Second)
	var own strings.Builder
	for line := range strings.Lines(text(t, r)) {
		if strings.Contains(line, "edged_") {
			own.WriteString(line)
		}
	}
	problems, err := promlint.New(strings.NewReader(own.String())).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestAMetricThatIsWrongPanicsOrIsLeftOut(t *testing.T) {
	r := New("1")
	require.Panics(t, func() {
		r.Add(Family{Name: "edged_build_info", Help: "again", Read: func(func(float64, ...string)) {}})
	})
	r.Add(Family{Name: "edged_fine", Help: "x", Type: Gauge, Read: func(tell func(float64, ...string)) { tell(1) }})
	r.AddNamed(Family{Name: "edged_wrong", Help: "x", Type: Gauge, Read: func(tell func(float64, ...string)) { tell(1, "no such label") }})
	var b bytes.Buffer
	require.ErrorContains(t, r.Write(&b, true), "edged_wrong")
	require.Contains(t, b.String(), "edged_fine 1")
	require.ErrorContains(t, r.Write(broken{}, false), "cannot write metrics: pipe")
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("pipe") }

func TestTheFileIsThereWhileEdgedRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "edged.prom")
	logger, said := logrustest.NewNullLogger()
	var n atomic.Int64
	file := Textfile{Path: path, Every: time.Millisecond, Log: logger, Write: func(w io.Writer) {
		if n.Add(1)%2 == 0 {
			_, _ = io.WriteString(w, "even\n")
			return
		}
		_, _ = io.WriteString(w, "odd, and longer\n")
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { file.Run(ctx); close(done) }()
	for n.Load() < 20 {
		if b, err := os.ReadFile(path); err == nil {
			require.Contains(t, []string{"even\n", "odd, and longer\n"}, string(b), "whole or not at all")
		}
	}
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o644), st.Mode())
	cancel()
	<-done
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Empty(t, left)
	require.Empty(t, said.AllEntries())
}

func TestALinkInThePlaceOfTheFileIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	require.NoError(t, os.WriteFile(victim, []byte("mine"), 0o600))
	file := Textfile{Path: filepath.Join(dir, "edged.prom"), Write: func(w io.Writer) { _, _ = io.WriteString(w, "x") }}
	for _, name := range []string{"edged.prom", ".edged.prom.part"} {
		require.NoError(t, os.Symlink(victim, filepath.Join(dir, name)))
	}
	require.NoError(t, file.replace())
	b, err := os.ReadFile(victim)
	require.NoError(t, err)
	require.Equal(t, "mine", string(b))
	st, err := os.Lstat(file.Path)
	require.NoError(t, err)
	require.True(t, st.Mode().IsRegular())
}

func TestAFolderThatIsNotThereIsSaidOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	logger, said := logrustest.NewNullLogger()
	var n atomic.Int64
	file := Textfile{Path: filepath.Join(dir, "edged.prom"), Every: time.Millisecond, Log: logger, Write: func(io.Writer) { n.Add(1) }}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { file.Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	for n.Load() < 10 {
		time.Sleep(time.Millisecond)
	}
	require.Len(t, said.AllEntries(), 1)
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.Eventually(t, func() bool { _, err := os.Stat(file.Path); return err == nil }, 10*time.Second, time.Millisecond)
}
