package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/peer"
)

func asked(ctx context.Context, module string) *http.Request {
	caller := peer.Caller{Kind: peer.Host}
	if module != "" {
		caller = peer.Caller{Kind: peer.Module, Instance: &peer.Instance{Module: module}}
	}
	return httptest.NewRequest("GET", "/", nil).WithContext(peer.NewContext(ctx, caller))
}

func TestAModuleThatAsksWithoutEndMakesOnlyItselfWait(t *testing.T) {
	release, started := make(chan struct{}), make(chan struct{}, 100)
	var working, most atomic.Int32
	h := InTurn(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if caller, _ := peer.FromContext(r.Context()); caller.Module() != "noisy" {
			return
		}
		n := working.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		started <- struct{}{}
		<-release
		working.Add(-1)
	}))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { h.ServeHTTP(httptest.NewRecorder(), asked(t.Context(), "noisy")) })
	}
	for range turnsAtOnce {
		<-started
	}
	h.ServeHTTP(httptest.NewRecorder(), asked(t.Context(), "quiet"))
	h.ServeHTTP(httptest.NewRecorder(), asked(t.Context(), ""))

	// A client that leaves while it waits is not served.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.ServeHTTP(httptest.NewRecorder(), asked(ctx, "noisy"))

	close(release)
	wg.Wait()
	require.EqualValues(t, turnsAtOnce, most.Load())
	require.Len(t, started, 50-turnsAtOnce)
}

// A crowd that is served as fast as it asks keeps edged's threads from looking for what others ask.
func TestACrowdIsServedAtAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := InTurn(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Microsecond) }))
		ask := func(name string, n int) time.Duration {
			began := time.Now()
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					for range 100 {
						h.ServeHTTP(httptest.NewRecorder(), asked(t.Context(), name))
					}
				})
			}
			wg.Wait()
			return time.Since(began)
		}
		require.Less(t, ask("few", turnsAtOnce), time.Millisecond)
		noisy := make(chan time.Duration)
		go func() { noisy <- ask("noisy", 64) }()
		time.Sleep(10 * pause)
		require.Less(t, ask("quiet", 1), time.Millisecond)
		require.Greater(t, <-noisy, 1000*pause)
	})
}

func TestNothingIsKeptOfModulesThatDoNotAsk(t *testing.T) {
	tt := &turns{of: map[string]*queue{}}
	a := tt.join("a")
	require.Same(t, a, tt.join("a"))
	tt.leave("a", a)
	require.Len(t, tt.of, 1)
	tt.leave("a", a)
	require.Empty(t, tt.of)
}
