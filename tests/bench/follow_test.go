package bench

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// BenchmarkFollow follows the log of a module that writes its clock in each line.
func BenchmarkFollow(b *testing.B) {
	d := newDevice(b, "")
	d.CreateAndStart(d.CommandSpec("slow", "ticker", "100ms"))
	d.CreateAndStart(d.CommandSpec("fast", "ticker", "1ms"))
	b.Run("10-lines-a-second", func(b *testing.B) {
		follow := newFollower(b, d, "slow")
		var took []time.Duration
		rounds(b, 50, func() {
			written := follow.line()
			took = append(took, time.Since(written))
		})
		atMost(b, "p50-ms", ms(median(took)), 1)
	})
	b.Run("1000-lines-a-second", func(b *testing.B) {
		const span = 3 * time.Second
		share := func() float64 {
			before, began := cpuOf(b, d.Edged.PID()), time.Now()
			time.Sleep(span)
			return float64(cpuOf(b, d.Edged.PID())-before) / float64(time.Since(began)) * 100
		}
		idle := share()
		follow := newFollower(b, d, "fast")
		var used, rates []float64
		rounds(b, 3, func() {
			before := follow.count()
			used = append(used, share())
			rates = append(rates, float64(follow.count()-before)/span.Seconds())
		})
		figure(b, "lines/s", median(rates))
		figure(b, "idle-%core", idle)
		atMost(b, "%core", median(used), 1)
	})
}

// follower reads a module's log in a goroutine of its own, as fast as it comes.
type follower struct {
	b     *testing.B
	lines chan string
	count func() int
}

func newFollower(b *testing.B, d *device.Device, module string) *follower {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		fmt.Sprintf("http://localhost/modules/%s/logs?follow=true&tail=0&%s", module, device.Version), nil)
	require.NoError(b, err)
	client := device.UnixClient(d.Management())
	client.Timeout = 0
	response, err := client.Do(request)
	require.NoError(b, err)
	require.Equal(b, http.StatusOK, response.StatusCode)
	f := &follower{b: b, lines: make(chan string, 1<<16)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(f.lines)
		for s := bufio.NewScanner(response.Body); s.Scan(); {
			select {
			case f.lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	b.Cleanup(func() {
		cancel()
		_ = response.Body.Close()
		<-ended
	})
	f.count = f.counter()
	return f
}

// line waits for the next line and returns when the module wrote it.
func (f *follower) line() time.Time {
	f.b.Helper()
	select {
	case text, ok := <-f.lines:
		require.True(f.b, ok, "the log goes on")
		ns, err := strconv.ParseInt(text[strings.LastIndexByte(text, ' ')+1:], 10, 64)
		require.NoError(f.b, err)
		return time.Unix(0, ns)
	case <-time.After(10 * time.Second):
		f.b.Fatal("no line comes")
		return time.Time{}
	}
}

// counter returns a count of all lines so far, which takes them.
func (f *follower) counter() func() int {
	n := 0
	return func() int {
		for len(f.lines) > 0 {
			<-f.lines
			n++
		}
		return n
	}
}
