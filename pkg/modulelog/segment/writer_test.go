package segment

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const day0 = 1795310425698701355 // 2026-11-22T01:20:25.698701355Z

// clock is a clock that a test sets.
type clock int64

func (c *clock) now() int64 { return int64(*c) }

func start(t testing.TB, dir string, c *clock, change ...func(*Config)) *Writer {
	t.Helper()
	cfg := Config{Dir: dir, Now: c.now}
	for _, f := range change {
		f(&cfg)
	}
	w := New(cfg)
	w.Start()
	t.Cleanup(w.Close)
	return w
}

// stored is the segments of a folder, in order, each one string.
func stored(t testing.TB, dir string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	require.NoError(t, err)
	got := map[string]string{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		got[filepath.Base(name)] = string(b)
	}
	return got
}

func stamp(ns int64) string {
	var b [StampLen]byte
	PutStamp(b[:], ns)
	return string(b[:])
}

func TestFeedStoresWholeLines(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "1")
	c := clock(day0)
	w := start(t, dir, &c)
	w.Feed(Stdout, []byte("one\ntw"))
	c += 5
	w.Feed(Stderr, []byte("err\n\n"))
	c += 5
	w.Feed(Stdout, []byte("o\nthree"))
	w.Close()
	require.Equal(t, map[string]string{"0.log": "" +
		"2026-11-22T01:20:25.698701355Z stdout F one\n" +
		"2026-11-22T01:20:25.698701360Z stderr F err\n" +
		"2026-11-22T01:20:25.698701360Z stderr F \n" +
		"2026-11-22T01:20:25.698701365Z stdout F two\n" +
		"2026-11-22T01:20:25.698701365Z stdout P three\n"}, stored(t, dir))
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Dir(dir): 0o700, filepath.Join(dir, "0.log"): 0o600, filepath.Join(dir, LockName): 0o600} {
		st, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, want, st.Mode().Perm(), path)
	}
}

func TestFeedDoesNotDependOnHowItIsCut(t *testing.T) {
	text := []byte("a\n\nbb\n" + strings.Repeat("x", 3*MaxText+7) + "\n" + strings.Repeat("y", MaxText) + "\nend")
	c := clock(day0)
	whole := t.TempDir()
	w := start(t, whole, &c)
	w.Feed(Stdout, text)
	w.Close()
	for _, n := range []int{1, 2, 3, 1000, MaxText, MaxText + 1, 40000} {
		dir := t.TempDir()
		w := start(t, dir, &c)
		for rest := text; len(rest) > 0; rest = rest[min(n, len(rest)):] {
			w.Feed(Stdout, rest[:min(n, len(rest))])
		}
		w.Close()
		require.Equal(t, stored(t, whole), stored(t, dir), n)
	}
}

func TestTimeNeverRunsBackwards(t *testing.T) {
	dir := t.TempDir()
	c := clock(day0)
	w := start(t, dir, &c)
	for _, step := range []clock{0, 1000, -5e9, -1, 3600e9, -7200e9} {
		c += step
		w.Feed(Stdout, []byte("x\n"))
	}
	w.Close()
	lines := strings.Split(strings.TrimSpace(stored(t, dir)["0.log"]), "\n")
	require.Len(t, lines, 6)
	for i := range lines[1:] {
		require.LessOrEqual(t, lines[i][:StampLen], lines[i+1][:StampLen])
	}

	w = start(t, dir, &c) // still behind: this run's lines are its own
	w.Feed(Stdout, []byte("y\n"))
	w.Close()
	require.Equal(t, stamp(int64(c))+" stdout F y\n", stored(t, dir)["1.log"])
	c += 5
	w = start(t, dir, &c)
	w.Feed(Stdout, []byte("z\n"))
	w.Close()
	require.Len(t, stored(t, dir), 2, "a clock that goes on needs no segment")
}

func TestRotationKeepsTheNewest(t *testing.T) {
	for _, maxFile := range []int{1, 2, 3, 5} {
		dir := t.TempDir()
		c := clock(day0)
		w := start(t, dir, &c, func(cfg *Config) { cfg.MaxSize, cfg.MaxFile = 1000, maxFile })
		for i := range 200 {
			w.Feed(Stdout, fmt.Appendf(nil, "%03d\n", i)) // 44 bytes: 22 go into a segment
			require.LessOrEqual(t, len(stored(t, dir)), maxFile)
		}
		w.Close()
		got := stored(t, dir)
		require.Len(t, got, maxFile)
		require.Contains(t, got["9.log"], " 199\n")
		for _, text := range got {
			require.LessOrEqual(t, len(text), 1000)
			require.True(t, strings.HasSuffix(text, "\n"))
		}
	}
}

func TestBatchBiggerThanSegments(t *testing.T) {
	dir := t.TempDir()
	c := clock(day0)
	w := start(t, dir, &c, func(cfg *Config) { cfg.MaxSize, cfg.MaxFile = 1000, 1000 })
	w.Feed(Stdout, bytes.Repeat([]byte("0123456789\n"), 1000))
	w.Feed(Stdout, []byte(strings.Repeat("x", 5000)+"\nlast\n")) // longer than a segment: it has one for itself
	w.Close()
	got := stored(t, dir)
	lines := 0
	for _, text := range got {
		lines += strings.Count(text, "\n")
		require.True(t, len(text) <= 1000 || strings.Count(text, "\n") == 1)
	}
	require.Equal(t, 1002, lines)
}

func TestNextRunGoesOnInTheSameSegment(t *testing.T) {
	dir := t.TempDir()
	c := clock(day0)
	for i := range 5 {
		c++
		w := start(t, dir, &c)
		w.Feed(Stdout, fmt.Appendf(nil, "run %d\n", i))
		w.Close()
	}
	require.Len(t, stored(t, dir), 1)
	require.Equal(t, 5, strings.Count(stored(t, dir)["0.log"], "run"))
}

func TestNextRunEndsATornLine(t *testing.T) {
	line := stamp(day0) + " stdout F whole\n"
	for n := range len(line) {
		dir := t.TempDir()
		torn := line + line[:n]
		require.NoError(t, os.WriteFile(filepath.Join(dir, "7.log"), []byte(torn), 0o600))
		c := clock(day0 + 1)
		w := start(t, dir, &c)
		w.Feed(Stdout, []byte("next\n"))
		w.Close()
		if n > 0 {
			torn += "\n"
		}
		require.Equal(t, map[string]string{"7.log": torn + stamp(day0+1) + " stdout F next\n"}, stored(t, dir))
	}
}

func TestFewerFilesAreKeptWhenTheSettingSaysSo(t *testing.T) {
	dir := t.TempDir()
	for i := range int64(6) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, Name(i)), []byte(stamp(1)+" stdout F x\n"), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600))
	c := clock(day0)
	w := start(t, dir, &c, func(cfg *Config) { cfg.MaxFile = 2 })
	w.Feed(Stdout, []byte("y\n"))
	w.Close()
	require.Len(t, stored(t, dir), 2)
	require.Contains(t, stored(t, dir)["5.log"], " y\n")
	require.FileExists(t, filepath.Join(dir, "notes.txt"))
}

func TestSecondWriterTakesASegmentOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	c := clock(day0)
	one := start(t, dir, &c)
	one.Feed(Stdout, []byte("one\n"))
	two := start(t, dir, &c)
	require.True(t, one.Locked())
	require.False(t, two.Locked())
	two.Feed(Stdout, []byte("two\n"))
	one.Feed(Stdout, []byte("one\n"))
	one.Close()
	two.Start()
	require.True(t, two.Locked())
	two.Close()
	got := stored(t, dir)
	require.Equal(t, 2, strings.Count(got["0.log"], "one"))
	require.Equal(t, stamp(day0)+" stdout F two\n", got["1.log"])
}

func TestFeedDoesNotAllocate(t *testing.T) {
	c := clock(day0)
	w := start(t, t.TempDir(), &c)
	batch := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 300)
	w.Feed(Stdout, batch)
	require.Zero(t, testing.AllocsPerRun(100, func() { w.Feed(Stdout, batch) }))
}

func FuzzFeed(f *testing.F) {
	f.Add([]byte("a\nb\n"), []byte("c"), 3, int64(100))
	f.Add([]byte(strings.Repeat("x", 40000)), []byte("\n\n"), 1000, int64(1))
	f.Fuzz(func(t *testing.T, out, errs []byte, cut int, maxSize int64) {
		dir := t.TempDir()
		c := clock(day0)
		w := start(t, dir, &c, func(cfg *Config) { cfg.MaxSize, cfg.MaxFile = maxSize, 1<<20 })
		cut = max(1, min(cut, len(out)))
		for rest := out; len(rest) > 0; rest = rest[min(cut, len(rest)):] {
			w.Feed(Stdout, rest[:min(cut, len(rest))])
			if len(rest) == len(out) {
				w.Feed(Stderr, errs)
			}
		}
		w.Close()
		var got [3][]byte
		for seq := range int64(len(stored(t, dir))) {
			b, err := os.ReadFile(filepath.Join(dir, Name(seq)))
			require.NoError(t, err)
			for line := range bytes.Lines(b) {
				s, partial, ok := Header(line)
				require.True(t, ok, "%q", line)
				require.LessOrEqual(t, len(line), MaxLine)
				got[s] = append(got[s], line[HeaderLen:len(line)-1]...)
				if !partial {
					got[s] = append(got[s], '\n')
				}
			}
		}
		require.Equal(t, string(out), string(got[Stdout]))
		if len(out) > 0 {
			require.Equal(t, string(errs), string(got[Stderr]))
		}
	})
}

// BenchmarkFeed is the writer without the pipe: batches of 32 KiB, lines of 100 bytes.
func BenchmarkFeed(b *testing.B) {
	c := clock(day0)
	w := start(b, b.TempDir(), &c)
	batch := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 327)
	b.SetBytes(int64(len(batch)))
	for b.Loop() {
		c++
		w.Feed(Stdout, batch)
	}
}
