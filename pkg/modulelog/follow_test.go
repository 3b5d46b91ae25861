package modulelog

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// follower is a Copy that goes on. What it wrote comes out of a channel, a flush at a time.
type follower struct {
	flushed chan string
	buf     bytes.Buffer
	done    chan struct{}
	ended   chan error
	cancel  context.CancelFunc
}

func (f *follower) Write(b []byte) (int, error) { return f.buf.Write(b) }

func (f *follower) Flush() {
	f.flushed <- f.buf.String()
	f.buf.Reset()
}

func follow(t testing.TB, s *Store, module string, opt Options) *follower {
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{flushed: make(chan string, 10000), done: make(chan struct{}), ended: make(chan error, 1), cancel: cancel}
	opt.Follow = true
	var wg sync.WaitGroup
	wg.Go(func() { f.ended <- s.Copy(ctx, f, module, opt, f.done) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return f
}

// wait reads until what came ends with text.
func (f *follower) wait(t testing.TB, text string) string {
	t.Helper()
	got := ""
	for deadline := time.After(10 * time.Second); ; {
		select {
		case s := <-f.flushed:
			if got += s; strings.HasSuffix(got, text) {
				return got
			}
		case err := <-f.ended:
			require.FailNow(t, "the follower ended", "%v, after %q", err, got)
		case <-deadline:
			require.FailNow(t, "nothing came", "got %q, want %q", got, text)
		}
	}
}

// end tells that the module is gone, and gives what still came.
func (f *follower) end(t testing.TB) string {
	t.Helper()
	close(f.done)
	select {
	case err := <-f.ended:
		require.NoError(t, err)
	case <-time.After(10 * time.Second):
		require.FailNow(t, "the follower does not end")
	}
	close(f.flushed)
	got := ""
	for s := range f.flushed {
		got += s
	}
	return got + f.buf.String()
}

func TestFollowWritesWhatComes(t *testing.T) {
	for name, framing := range map[string]Framing{"plain": Plain, "docker": Docker} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			w := newWriter(s, "m", 1, segment.Config{})
			w.Feed(segment.Stdout, []byte("old\nlast\n"))
			f := follow(t, s, "m", Options{Tail: 1, Framing: framing})
			first := f.wait(t, "last\n")
			require.NotContains(t, first, "old")
			for i := range 5 {
				w.Feed(segment.Stdout, fmt.Appendf(nil, "line %d\n", i))
				f.wait(t, fmt.Sprintf("line %d\n", i))
			}
			w.Feed(segment.Stdout, []byte("no newline"))
			w.Close()
			require.True(t, strings.HasSuffix(f.end(t), "no newline\n"))
		})
	}
}

func TestFollowersShareAFolder(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{})
	w.Feed(segment.Stdout, []byte("begin\n"))
	var all []*follower
	for range 5 {
		f := follow(t, s, "m", Options{Tail: 1})
		f.wait(t, "begin\n")
		all = append(all, f)
	}
	for i := range 10 {
		w.Feed(segment.Stderr, fmt.Appendf(nil, "%d\n", i))
		for k, f := range all {
			if k == 4 && i > 5 {
				continue
			}
			f.wait(t, fmt.Sprintf("%d\n", i))
		}
		if i == 5 {
			require.Empty(t, all[4].end(t)) // w lives: it takes the farewell
		}
	}
	w.Close()
	for _, f := range all[:4] {
		require.Empty(t, f.end(t))
	}
}

func TestFollowBeforeThereIsAnything(t *testing.T) {
	s := newStore(t) // not even its root is there
	f := follow(t, s, "m", Options{Tail: -1})
	other := newWriter(s, "other", 1, segment.Config{})
	other.Feed(segment.Stdout, []byte("not for us\n"))
	defer other.Close()
	w := newWriter(s, "m", 1, segment.Config{})
	w.Feed(segment.Stdout, []byte("first\n"))
	require.Equal(t, "first\n", f.wait(t, "first\n"))
	w.Close()
	require.Empty(t, f.end(t))
}

func TestFollowGoesOnIntoNewGenerationsAndBack(t *testing.T) {
	s := newStore(t)
	one := newWriter(s, "m", 1, segment.Config{})
	one.Feed(segment.Stdout, []byte("1a\n"))
	f := follow(t, s, "m", Options{Tail: -1})
	f.wait(t, "1a\n")
	two := newWriter(s, "m", 2, segment.Config{})
	two.Feed(segment.Stdout, []byte("2a\n"))
	f.wait(t, "2a\n")
	two.Close()
	require.NoError(t, s.Prune("m", 1)) // it did not start; back to the old one
	one.Feed(segment.Stdout, []byte("1b\n"))
	f.wait(t, "1b\n")
	three := newWriter(s, "m", 3, segment.Config{})
	three.Feed(segment.Stdout, []byte("3a\n"))
	f.wait(t, "3a\n")
	one.Close()
	three.Close()
	require.Empty(t, f.end(t))
}

func TestFollowSurvivesARemovedLog(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{})
	w.Feed(segment.Stdout, []byte("a\n"))
	f := follow(t, s, "m", Options{Tail: -1})
	f.wait(t, "a\n")
	w.Close()
	require.NoError(t, s.Remove("m"))
	w = newWriter(s, "m", 1, segment.Config{})
	w.Feed(segment.Stdout, []byte("b\n"))
	f.wait(t, "b\n")
	w.Close()
	require.Empty(t, f.end(t))
}

func TestFollowWaitsForTheLogger(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{})
	w.Feed(segment.Stdout, []byte("a\n"))
	f := follow(t, s, "m", Options{Tail: -1})
	f.wait(t, "a\n")
	close(f.done)
	w.Feed(segment.Stdout, []byte("still in the pipe\n"))
	f.wait(t, "still in the pipe\n")
	w.Feed(segment.Stdout, []byte("the end"))
	w.Close()
	require.Equal(t, "the end\n", f.wait(t, "the end\n"))
	require.NoError(t, <-f.ended)
}

func TestFollowWaitsForALoggerThatStaysOnlySoLong(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{})
	defer w.Close()
	w.Feed(segment.Stdout, []byte("a\n"))
	f := follow(t, s, "m", Options{Tail: -1})
	f.wait(t, "a\n")
	began := time.Now()
	require.Empty(t, f.end(t))
	require.InDelta(t, farewell.Seconds(), time.Since(began).Seconds(), 1.5)
}

func TestFollowEndsWithItsContext(t *testing.T) {
	s := newStore(t)
	f := follow(t, s, "m", Options{Tail: -1})
	f.cancel()
	require.ErrorIs(t, <-f.ended, context.Canceled)
}

func TestFollowEndsAtUntil(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{})
	defer w.Close()
	w.Feed(segment.Stdout, []byte("a\n"))
	f := follow(t, s, "m", Options{Tail: -1, Until: time.Now().Add(200 * time.Millisecond)})
	f.wait(t, "a\n")
	require.NoError(t, <-f.ended)
	f = follow(t, s, "m", Options{Tail: -1, Until: time.Now().Add(-time.Hour)})
	require.NoError(t, <-f.ended)
	require.Empty(t, f.flushed)
}

func TestFollowAppliesSince(t *testing.T) {
	s := newStore(t)
	now := at(0)
	w := newWriter(s, "m", 1, segment.Config{Now: func() int64 { return now.UnixNano() }})
	w.Feed(segment.Stdout, []byte("a\n"))
	now = at(10)
	w.Feed(segment.Stdout, []byte("b\n"))
	f := follow(t, s, "m", Options{Tail: -1, Since: at(10)})
	require.Equal(t, "b\n", f.wait(t, "b\n"))
	w.Close()
	require.Empty(t, f.end(t))
}

func TestFollowThroughADeadLoggersTornLine(t *testing.T) {
	s := newStore(t)
	put(t, s, "m", 1, 0, "2026-11-22T01:20:25.698701355Z stdout F whole\n2026-11-22T01:20:25.698701355Z stdout F to")
	f := follow(t, s, "m", Options{Tail: -1})
	f.wait(t, "whole\n")
	w := newWriter(s, "m", 1, segment.Config{})
	w.Feed(segment.Stdout, []byte("next\n"))
	require.Equal(t, "to\nnext\n", f.wait(t, "next\n"))
	w.Close()
	require.Empty(t, f.end(t))
}

func TestIdleFollowersCostNothing(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{})
	w.Feed(segment.Stdout, []byte("a\n"))
	f := follow(t, s, "m", Options{Tail: -1})
	f.wait(t, "a\n")
	require.Eventually(t, func() bool { return armed(s) == 2 }, 10*time.Second, time.Millisecond, "the module and its generation are watched")
	require.Never(t, func() bool { return armed(s) != 2 }, 300*time.Millisecond, 10*time.Millisecond, "nothing woke it")
	w.Close()
	require.Empty(t, f.end(t))
}

func armed(s *Store) int {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	return len(s.watch.subs)
}

func TestFollowersLeaveNoDescriptors(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{})
	w.Feed(segment.Stdout, []byte("a\n"))
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(names)
	}
	f := follow(t, s, "m", Options{Tail: -1})
	f.wait(t, "a\n")
	f.cancel()
	<-f.ended
	before := count() // with the inotify instance
	for range 20 {
		f := follow(t, s, "m", Options{Tail: -1})
		f.wait(t, "a\n")
		f.cancel()
		<-f.ended
	}
	require.Equal(t, before, count())
	require.Empty(t, s.watch.subs)
	w.Close()
}

func TestFollowWithoutInotifyStillWrites(t *testing.T) {
	s := newStore(t)
	require.NoError(t, s.Close()) // as if the kernel gave no watches
	w := newWriter(s, "m", 1, segment.Config{})
	f := follow(t, s, "m", Options{Tail: -1})
	w.Feed(segment.Stdout, []byte("a\n"))
	f.wait(t, "a\n")
	w.Feed(segment.Stdout, []byte("b\n"))
	f.wait(t, "b\n")
	w.Close()
	require.Empty(t, f.end(t))
}
