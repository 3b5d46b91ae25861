package mgmt

import (
	"compress/gzip"
	"context"
	"io"
	"net/http/httptest"
	"runtime/pprof"
	"runtime/trace"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/peer"
)

func TestProfilesAreGosOwn(t *testing.T) {
	f := newFixture(t)
	for _, name := range append(snapshots, "profile?seconds=1") {
		w := f.ask("root", "GET", "/debug/pprof/"+name, "")
		require.Equal(t, 200, w.Code, name)
		z, err := gzip.NewReader(w.Body)
		require.NoError(t, err, name)
		b, err := io.ReadAll(z)
		require.NoError(t, err)
		require.NotEmpty(t, b)
	}
	w := f.ask("root", "GET", "/debug/pprof/goroutine?debug=2", "")
	require.Contains(t, w.Body.String(), "TestProfilesAreGosOwn")
	w = f.ask("root", "GET", "/debug/pprof/", "")
	require.Equal(t, "profile?seconds=30\ntrace?seconds=1\nallocs\ngoroutine\nheap\nthreadcreate\n", w.Body.String())
}

func TestProfilesThatThereAreNot(t *testing.T) {
	f := newFixture(t)
	for path, status := range map[string]int{
		"cmdline": 404, "block": 404, "..": 404, "heap/": 404, "%2e%2e": 404, "heap?debug=3": 400, "heap?debug=x": 400,
		"profile?seconds=0": 400, "profile?seconds=121": 400, "profile?seconds=x": 400, "trace?seconds=11": 400, "trace?seconds=-1": 400,
	} {
		require.Equal(t, status, f.ask("root", "GET", "/debug/pprof/"+path, "").Code, path)
	}
	require.Equal(t, 404, f.ask("root", "GET", "/debug/pprof", "").Code)
	require.Equal(t, 405, f.ask("root", "POST", "/debug/pprof/heap", "").Code)
}

func TestThereIsOneRecordingOfAKind(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, pprof.StartCPUProfile(io.Discard))
	defer pprof.StopCPUProfile()
	require.NoError(t, trace.Start(io.Discard))
	defer trace.Stop()
	for _, name := range []string{"profile", "trace"} {
		w := f.ask("root", "GET", "/debug/pprof/"+name, "")
		require.Equal(t, 409, w.Code)
		require.Contains(t, message(t, w), "is being recorded already")
		require.Empty(t, w.Header().Get("Content-Disposition"))
	}
}

func TestARecordingEndsWithItsClient(t *testing.T) {
	gone, leave := context.WithCancel(peer.NewContext(t.Context(), caller("root")))
	leave()
	w := httptest.NewRecorder()
	New(newFixture(t).cfg).ServeHTTP(w, httptest.NewRequest("GET", "/debug/pprof/trace?seconds=10", nil).WithContext(gone))
	require.Equal(t, 200, w.Code)
}

func TestARecordingEndsWhenEdgedStops(t *testing.T) {
	f := newFixture(t)
	stopping, stop := context.WithCancel(t.Context())
	stop()
	f.cfg.Stopping = stopping
	require.Equal(t, 200, f.ask("root", "GET", "/debug/pprof/trace?seconds=10", "").Code)
}
