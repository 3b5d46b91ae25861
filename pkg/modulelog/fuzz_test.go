package modulelog

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// FuzzReader reads what no logger would write.
func FuzzReader(f *testing.F) {
	const line = "2026-11-22T01:20:25.698701355Z stdout F a\n"
	f.Add([]byte(line), []byte(line), int64(0), 3)
	f.Add([]byte(line+strings.ReplaceAll(line, " F ", " P ")), []byte("\n\n"), int64(1), -1)
	f.Add([]byte(strings.Repeat(strings.ReplaceAll(line, "stdout", "stderr"), 50)+line[:20]), []byte(strings.Repeat("\x00", 300)), int64(-5), 1)
	f.Add([]byte("2026-11-22T01:20:25.698701355Z stdout P "+strings.Repeat("x", segment.MaxText)+"\n"+line), []byte(strings.Repeat("y", 140000)), int64(1<<40), 2)
	dir := f.TempDir()
	s := NewStore(dir)
	f.Cleanup(func() { _ = s.Close() })
	gen := s.GenerationDir("m", 1)
	require.NoError(f, os.MkdirAll(gen, 0o700))
	f.Fuzz(func(t *testing.T, one, two []byte, second int64, tail int) {
		require.NoError(t, os.WriteFile(filepath.Join(gen, "0.log"), one, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(gen, "1.log"), two, 0o600))
		all := mustRead(t, s, "m", Options{Tail: -1})
		require.LessOrEqual(t, len(all), len(one)+len(two)+len(one)/blockSize+len(two)/blockSize+2)
		if all != "" {
			require.Equal(t, byte('\n'), all[len(all)-1])
		}
		for _, opt := range []Options{
			{Tail: tail, Timestamps: true},
			{Tail: tail, Stderr: true, Framing: Docker},
			{Tail: -1, Since: time.Unix(second, 0)},
			{Tail: tail, Until: time.Unix(second, 0), Framing: Docker},
		} {
			var c chunkWriter
			require.NoError(t, s.Copy(t.Context(), &c, "m", opt, nil))
			if opt.Framing == Docker {
				frames(t, c.chunks)
				continue
			}
			for _, b := range c.chunks {
				require.LessOrEqual(t, len(b), 256<<10)
			}
		}
		if tail >= 0 && !bytes.Contains(one, []byte(" P ")) && !bytes.Contains(two, []byte(" P ")) && len(one) < 100<<10 && len(two) < 100<<10 {
			want := strings.SplitAfter(all, "\n")
			want = want[:len(want)-1]
			want = want[max(0, len(want)-tail):]
			require.Equal(t, strings.Join(want, ""), mustRead(t, s, "m", Options{Tail: tail}))
		}
	})
}
