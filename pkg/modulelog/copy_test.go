package modulelog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/modulelog/segment"
)

func TestCopyOfUnknownModuleIsEmpty(t *testing.T) {
	s := newStore(t)
	require.Empty(t, mustRead(t, s, "nobody", Options{Tail: -1}))
	require.Empty(t, mustRead(t, s, "nobody", Options{Tail: 5}))
}

// fiveLines are o1 e2 o3 in generation 1, over two segments, and o4 e5 in generation 2, a second apart.
func fiveLines(t *testing.T) *Store {
	s := newStore(t)
	clock := ticking()
	w := newWriter(s, "m", 1, segment.Config{Now: clock, MaxSize: 90})
	w.Feed(segment.Stdout, []byte("o1\n"))
	w.Feed(segment.Stderr, []byte("e2\n"))
	w.Feed(segment.Stdout, []byte("o3\n"))
	w.Close() // asks the clock once more
	w = newWriter(s, "m", 2, segment.Config{Now: clock})
	w.Feed(segment.Stdout, []byte("o4\n"))
	w.Feed(segment.Stderr, []byte("e5\n"))
	w.Close()
	require.FileExists(t, filepath.Join(s.GenerationDir("m", 1), "1.log"))
	return s
}

func at(seconds int) time.Time { return day0.Add(time.Duration(seconds) * time.Second) }

func TestCopyChooses(t *testing.T) {
	s := fiveLines(t) // at 0, 1, 2, and 4, 5
	for _, tc := range []struct {
		name string
		opt  Options
		want string
	}{
		{"all", Options{Tail: -1}, "o1 e2 o3 o4 e5"},
		{"stdout", Options{Tail: -1, Stdout: true}, "o1 o3 o4"},
		{"stderr", Options{Tail: -1, Stderr: true}, "e2 e5"},
		{"both named", Options{Tail: -1, Stdout: true, Stderr: true}, "o1 e2 o3 o4 e5"},
		{"tail 0", Options{Tail: 0}, ""},
		{"tail 1", Options{Tail: 1}, "e5"},
		{"tail over generations", Options{Tail: 3}, "o3 o4 e5"},
		{"tail over segments", Options{Tail: 4}, "e2 o3 o4 e5"},
		{"tail of just all", Options{Tail: 5}, "o1 e2 o3 o4 e5"},
		{"tail of more than all", Options{Tail: 1 << 30}, "o1 e2 o3 o4 e5"},
		{"tail of one stream", Options{Tail: 2, Stdout: true}, "o3 o4"},
		{"since", Options{Tail: -1, Since: at(2)}, "o3 o4 e5"},
		{"since just after", Options{Tail: -1, Since: at(2).Add(1)}, "o4 e5"},
		{"since other zone", Options{Tail: -1, Since: at(2).In(time.FixedZone("", 3600))}, "o3 o4 e5"},
		{"since the future", Options{Tail: -1, Since: at(100)}, ""},
		{"since year 10000", Options{Tail: -1, Since: time.Unix(1<<40, 0)}, ""},
		{"since before Christ", Options{Tail: -1, Since: time.Unix(-1<<40, 0)}, "o1 e2 o3 o4 e5"},
		{"until", Options{Tail: -1, Until: at(2)}, "o1 e2 o3"},
		{"until just before", Options{Tail: -1, Until: at(2).Add(-1)}, "o1 e2"},
		{"until the past", Options{Tail: -1, Until: at(-1)}, ""},
		{"since and until", Options{Tail: -1, Since: at(1), Until: at(4)}, "e2 o3 o4"},
		{"since behind until", Options{Tail: -1, Since: at(4), Until: at(1)}, ""},
		{"tail counts within until", Options{Tail: 2, Until: at(2)}, "e2 o3"},
		{"tail stops at since", Options{Tail: 4, Since: at(4)}, "o4 e5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := mustRead(t, s, "m", tc.opt)
			require.Equal(t, tc.want, strings.Join(strings.Fields(got), " "))
			tc.opt.Framing = Docker
			var w chunkWriter
			require.NoError(t, s.Copy(t.Context(), &w, "m", tc.opt, nil))
			got = ""
			for _, f := range frames(t, w.chunks) {
				require.NotEqual(t, f.stream == 2, strings.Contains(f.text, "o"))
				got += f.text
			}
			require.Equal(t, tc.want, strings.Join(strings.Fields(got), " "))
		})
	}
}

func TestCopyWithTimestamps(t *testing.T) {
	s := fiveLines(t)
	require.Equal(t, "2026-11-22T01:20:29.698701355Z o4\n2026-11-22T01:20:30.698701355Z e5\n", mustRead(t, s, "m", Options{Tail: 2, Timestamps: true}))
	var w chunkWriter
	require.NoError(t, s.Copy(t.Context(), &w, "m", Options{Tail: 2, Timestamps: true, Framing: Docker}, nil))
	require.Equal(t, []frame{{1, "2026-11-22T01:20:29.698701355Z o4\n"}, {2, "2026-11-22T01:20:30.698701355Z e5\n"}}, frames(t, w.chunks))
}

func TestDockerFramesShareAndStayBounded(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{})
	w.Feed(segment.Stdout, bytes.Repeat([]byte(strings.Repeat("a", 99)+"\n"), 1000))
	w.Feed(segment.Stderr, []byte("e\n"))
	w.Close()
	var c chunkWriter
	require.NoError(t, s.Copy(t.Context(), &c, "m", Options{Tail: -1, Framing: Docker}, nil))
	got := frames(t, c.chunks)
	require.Len(t, got, 5)
	require.Equal(t, 100000, len(got[0].text)+len(got[1].text)+len(got[2].text)+len(got[3].text))
	for _, f := range got[:4] {
		require.True(t, strings.HasSuffix(f.text, "a\n"), "a frame ends with a line")
	}
	require.Equal(t, frame{2, "e\n"}, got[4])
}

func TestPlainChunksAreWholeLines(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{})
	var want strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&want, "line %d %s\n", i, strings.Repeat("z", i%97))
	}
	w.Feed(segment.Stdout, []byte(want.String()))
	w.Close()
	var c chunkWriter
	require.NoError(t, s.Copy(t.Context(), &c, "m", Options{Tail: -1}, nil))
	require.Greater(t, len(c.chunks), 5)
	for _, b := range c.chunks {
		require.LessOrEqual(t, len(b), 256<<10)
		require.True(t, bytes.HasSuffix(b, []byte("\n")))
	}
	require.Equal(t, want.String(), string(bytes.Join(c.chunks, nil)))
}

func TestSinceAndUntilFindEveryLine(t *testing.T) {
	s := newStore(t)
	now := day0
	w := newWriter(s, "m", 1, segment.Config{MaxSize: 200 << 10, MaxFile: 100, Now: func() int64 { return now.UnixNano() }})
	const lines = 2000
	for i := range lines {
		now = at(i)
		w.Feed(segment.Stdout, fmt.Appendf(nil, "%d %s\n", i, strings.Repeat("x", i*7919%3000)))
	}
	w.Close()
	for i := 0; i < lines; i += 97 {
		got := mustRead(t, s, "m", Options{Tail: -1, Since: at(i), Until: at(i + 1)})
		require.True(t, strings.HasPrefix(got, fmt.Sprintf("%d ", i)), i)
		require.Equal(t, min(2, lines-i), strings.Count(got, "\n"), i)
		got = mustRead(t, s, "m", Options{Tail: i})
		require.Equal(t, i, strings.Count(got, "\n"))
	}
}

func TestRunWithAClockBehindIsFoundBySince(t *testing.T) {
	s := newStore(t)
	for _, start := range []time.Time{at(1000), time.Unix(100, 0), at(2000)} {
		w := newWriter(s, "m", 1, segment.Config{Now: func() int64 { return start.UnixNano() }})
		w.Feed(segment.Stdout, fmt.Appendf(nil, "%d\n", start.Year()))
		w.Close()
	}
	require.Equal(t, "2026\n1970\n2026\n", mustRead(t, s, "m", Options{Tail: -1}))
	require.Equal(t, "2026\n2026\n", mustRead(t, s, "m", Options{Tail: -1, Since: at(0)}))
	require.Equal(t, "1970\n", mustRead(t, s, "m", Options{Tail: -1, Until: at(0)}))
}

func TestCopyLeavesALiveLoggersUnfinishedWriteAlone(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{})
	w.Feed(segment.Stdout, []byte("a\n"))
	path := filepath.Join(s.GenerationDir("m", 1), "0.log")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = f.WriteString("2026-11-22T01:20:26.698701355Z stdout F half")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, "a\n", mustRead(t, s, "m", Options{Tail: -1}))
	require.Equal(t, "a\n", mustRead(t, s, "m", Options{Tail: 1}))
	w.Close()
	require.Equal(t, "a\nhalf\n", mustRead(t, s, "m", Options{Tail: -1}))
}

// removeOnWrite removes a module's first segments while the first chunk is written.
type removeOnWrite struct {
	bytes.Buffer
	remove func()
}

func (r *removeOnWrite) Write(b []byte) (int, error) {
	if r.remove != nil {
		r.remove()
		r.remove = nil
	}
	return r.Buffer.Write(b)
}

func TestRotationDuringACopyLosesNothing(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{MaxSize: 400 << 10})
	line := strings.Repeat("x", 999) + "\n"
	for range 1000 {
		w.Feed(segment.Stdout, []byte(line))
	}
	out := removeOnWrite{remove: func() {
		for range 3000 {
			w.Feed(segment.Stdout, []byte("new\n"+line))
		}
	}}
	require.NoError(t, s.Copy(t.Context(), &out, "m", Options{Tail: -1}, nil))
	w.Close()
	require.Equal(t, strings.Repeat(line, 1000), out.String())
}

type failing struct{}

var errClient = errors.New("client is gone")

func (failing) Write([]byte) (int, error) { return 0, errClient }

func TestCopyEndsWithItsClient(t *testing.T) {
	s := fiveLines(t)
	require.ErrorIs(t, s.Copy(t.Context(), failing{}, "m", Options{Tail: -1}, nil), errClient)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Copy(ctx, &bytes.Buffer{}, "m", Options{Tail: -1}, nil), context.Canceled)
}

func TestTailOpensOnlyWhatItNeeds(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{MaxSize: 60, MaxFile: 30})
	for i := range 30 {
		w.Feed(segment.Stdout, fmt.Appendf(nil, "%d\n", i))
	}
	defer w.Close()
	for _, tc := range []struct {
		name       string
		opt        Options
		generation []int // the segments that are open for it
	}{
		{"all", Options{Tail: -1}, []int{30}},
		{"none", Options{Tail: 0}, nil},
		{"one line, which begins its segment", Options{Tail: 1}, []int{2}},
		{"lines of several", Options{Tail: 3}, []int{4}},
		{"none, and what comes", Options{Tail: 0, Follow: true}, []int{1}},
		{"lines until long ago", Options{Tail: 1, Until: at(0)}, []int{30}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &reader{store: s, module: "m", opt: tc.opt, want: tc.opt.wants()}
			defer r.close()
			r.take()
			require.NoError(t, r.begin())
			var open []int
			for _, c := range r.cursors {
				open = append(open, len(c.spans))
				require.EqualValues(t, 30, c.next)
			}
			require.Equal(t, tc.generation, open)
		})
	}
}
