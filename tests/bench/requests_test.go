package bench

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// target is one thing to ask again and again, on a connection that is kept.
type target struct {
	client *http.Client
	path   string
}

func newTarget(b *testing.B, socket, path string) *target {
	b.Helper()
	t := &target{path: path, client: &http.Client{Transport: &http.Transport{
		MaxConnsPerHost: 1,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
	b.Cleanup(t.client.CloseIdleConnections)
	t.ask(b) // the connection is made, and its caller known
	return t
}

func (t *target) ask(b *testing.B) time.Duration {
	began := time.Now()
	response, err := t.client.Get("http://localhost" + t.path)
	require.NoError(b, err)
	_, err = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	took := time.Since(began)
	require.NoError(b, err)
	require.Equal(b, http.StatusOK, response.StatusCode)
	return took
}

// byTurns asks targets one after the other, n times each, and returns how long each took.
func byTurns(b *testing.B, n int, targets ...*target) [][]time.Duration {
	b.Helper()
	took := make([][]time.Duration, len(targets))
	for range n {
		for i, t := range targets {
			took[i] = append(took[i], t.ask(b))
		}
	}
	return took
}

// crowd is several clients of the same thing.
type crowd []*target

func newCrowd(b *testing.B, n int, socket, path string) crowd {
	b.Helper()
	var c crowd
	for range n {
		c = append(c, newTarget(b, socket, path))
	}
	return c
}

// rate is how many requests a second they get answered, each asking again at once.
func (c crowd) rate(b *testing.B, span time.Duration) float64 {
	b.Helper()
	counts := make([]int, len(c))
	began := time.Now()
	var wg sync.WaitGroup
	for i, t := range c {
		wg.Go(func() {
			for time.Since(began) < span {
				t.ask(b)
				counts[i]++
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return float64(sum) / took.Seconds()
}
