package modulelog

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// lineCounter checks that the numbers it gets have no gap.
type lineCounter struct {
	next atomic.Int64
}

func (l *lineCounter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		if !whole {
			return 0, fmt.Errorf("chunk ends within a line: %q", line)
		}
		var i int64
		if _, err := fmt.Sscanf(string(line[:8]), "%d", &i); err != nil || i != l.next.Load() {
			return 0, fmt.Errorf("got %q, want %d", line, l.next.Load())
		}
		l.next.Store(i + 1)
		b = rest
	}
	return n, nil
}

func TestRotationAtFullSpeedUnderAFollowerLosesNoLine(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{MaxSize: 2 << 20})
	counter := &lineCounter{}
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Copy(context.Background(), counter, "m", Options{Tail: -1, Follow: true}, done) }()
	const batches, lines = 400, 300
	const lead = 10_000 // in lines: who is further behind than what is kept has lost some
	pad := strings.Repeat("x", 91)
	b := make([]byte, 0, 64<<10)
	for i := range batches {
		for int64(i*lines)-counter.next.Load() > lead && len(ended) == 0 {
			time.Sleep(time.Millisecond)
		}
		b = b[:0]
		for k := range lines {
			b = fmt.Appendf(b, "%08d%s\n", i*lines+k, pad)
		}
		w.Feed(segment.Stdout, b)
	}
	w.Close()
	close(done)
	require.NoError(t, <-ended)
	require.EqualValues(t, batches*lines, counter.next.Load())
	names, err := filepath.Glob(filepath.Join(s.GenerationDir("m", 1), "*.log"))
	require.NoError(t, err)
	require.Len(t, names, segment.DefaultMaxFile)
	require.NoFileExists(t, filepath.Join(s.GenerationDir("m", 1), "0.log"))
}

// gate lets a client stop reading.
type gate struct {
	bytes.Buffer
	first  chan struct{}
	resume chan struct{}
	once   sync.Once
}

func (g *gate) Write(b []byte) (int, error) {
	g.once.Do(func() {
		close(g.first)
		<-g.resume
	})
	return g.Buffer.Write(b)
}

func TestFollowerThatFellBehindGoesOnWithTheOldest(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{MaxSize: 64 << 10})
	w.Feed(segment.Stdout, []byte("first\n"))
	g := &gate{first: make(chan struct{}), resume: make(chan struct{})}
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Copy(context.Background(), g, "m", Options{Tail: -1, Follow: true}, done) }()
	<-g.first
	for i := range 10000 {
		w.Feed(segment.Stdout, fmt.Appendf(nil, "%d\n", i))
	}
	w.Close()
	stored := mustRead(t, s, "m", Options{Tail: -1})
	close(g.resume)
	close(done)
	require.NoError(t, <-ended)
	require.True(t, strings.HasPrefix(g.String(), "first\n"))
	require.True(t, strings.HasSuffix(g.String(), stored))
	require.Less(t, strings.Count(g.String(), "\n"), 10000, "the test is to lose some")
}

func TestFollowerFindsTheNextSegmentOfOneThatGrewForLong(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{MaxSize: 1 << 10})
	w.Feed(segment.Stdout, []byte("begin\n"))
	f := follow(t, s, "m", Options{Tail: -1})
	f.wait(t, "begin\n")
	for i := range 60 { // over three segments, each of which is looked at more often than youngLooks
		line := fmt.Sprintf("%d\n", i)
		w.Feed(segment.Stdout, []byte(line))
		require.Equal(t, line, f.wait(t, line))
	}
	w.Close()
	require.FileExists(t, filepath.Join(s.GenerationDir("m", 1), "2.log"))
	require.Empty(t, f.end(t))
}
