package modulelog

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// millionLines stores a million lines of 100 bytes, 140 MB in 14 segments.
func millionLines(b *testing.B) (s *Store, stored int64) {
	s = newStore(b)
	w := newWriter(s, "m", 1, segment.Config{MaxFile: 20})
	batch := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 500)
	for range 2000 {
		w.Feed(segment.Stdout, batch)
	}
	w.Close()
	return s, 1e6 * (100 + segment.HeaderLen)
}

func reportP50(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

func BenchmarkTail100OfAMillion(b *testing.B) {
	s, _ := millionLines(b)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		require.NoError(b, s.Copy(context.Background(), io.Discard, "m", Options{Tail: 100}, nil))
		took = append(took, time.Since(began))
	}
	reportP50(b, took)
}

func BenchmarkSinceInAMillion(b *testing.B) {
	s, _ := millionLines(b)
	since := time.Now()
	w := newWriter(s, "m", 1, segment.Config{MaxFile: 20})
	w.Feed(segment.Stdout, []byte("new\n"))
	w.Close()
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		require.NoError(b, s.Copy(context.Background(), io.Discard, "m", Options{Tail: -1, Since: since}, nil))
		took = append(took, time.Since(began))
	}
	reportP50(b, took)
}

// BenchmarkCopy counts stored bytes.
func BenchmarkCopy(b *testing.B) {
	for name, opt := range map[string]Options{
		"plain":            {Tail: -1},
		"plain-timestamps": {Tail: -1, Timestamps: true},
		"docker":           {Tail: -1, Framing: Docker},
	} {
		b.Run(name, func(b *testing.B) {
			s, stored := millionLines(b)
			b.SetBytes(stored)
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, s.Copy(context.Background(), io.Discard, "m", opt, nil))
			}
		})
	}
}

// stopwatch says how long ago a line was written.
type stopwatch struct {
	written atomic.Int64
	took    chan time.Duration
}

func (s *stopwatch) Write(b []byte) (int, error) {
	s.took <- time.Duration(time.Now().UnixNano() - s.written.Load())
	return len(b), nil
}

// BenchmarkFollowLatency is from before the write of a line to the follower's Write, at 20 lines/s.
func BenchmarkFollowLatency(b *testing.B) {
	s := newStore(b)
	w := newWriter(s, "m", 1, segment.Config{})
	w.Feed(segment.Stdout, []byte("x\n"))
	watch := &stopwatch{took: make(chan time.Duration, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Copy(ctx, watch, "m", Options{Tail: 1, Follow: true}, nil) }()
	<-watch.took
	var took []time.Duration
	for b.Loop() {
		time.Sleep(50 * time.Millisecond)
		watch.written.Store(time.Now().UnixNano())
		w.Feed(segment.Stdout, []byte("x\n"))
		took = append(took, <-watch.took)
	}
	cancel()
	<-ended
	w.Close()
	reportP50(b, took)
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// writeInto in its environment makes the test binary a logger that writes a line every millisecond into this folder,
// until its standard input ends.
const writeInto = "EDGED_TEST_WRITE_INTO"

func writeLines(dir string) {
	w := segment.New(segment.Config{Dir: dir, Now: func() int64 { return time.Now().UnixNano() }})
	w.Start()
	defer w.Close()
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	for tick := time.NewTicker(time.Millisecond); ; {
		select {
		case <-tick.C:
			w.Feed(segment.Stdout, []byte("a line of ordinary length, as modules write them all day long\n"))
		case <-ended:
			return
		}
	}
}

// BenchmarkFollowCPU is the share of a core that a follower costs while a module writes a line every millisecond. The
// writer is a process of its own, so that only the follower is counted.
func BenchmarkFollowCPU(b *testing.B) {
	s := newStore(b)
	exe, err := os.Executable()
	require.NoError(b, err)
	writer := exec.Command(exe)
	writer.Env = append(os.Environ(), writeInto+"="+s.GenerationDir("m", 1))
	stop, err := writer.StdinPipe()
	require.NoError(b, err)
	require.NoError(b, writer.Start())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	var got bytes.Buffer
	go func() { ended <- s.Copy(ctx, &got, "m", Options{Tail: 0, Follow: true}, nil) }()
	time.Sleep(time.Second)
	const span = 5 * time.Second
	for b.Loop() {
		before := cpu()
		time.Sleep(span)
		b.ReportMetric(float64(cpu()-before)/float64(span)*100, "%core")
	}
	cancel()
	<-ended
	b.ReportMetric(float64(bytes.Count(got.Bytes(), []byte("\n")))/(time.Second+span*time.Duration(b.N)).Seconds(), "lines/s")
	require.NoError(b, stop.Close())
	require.NoError(b, writer.Wait())
}
