package modulelog

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// day0 is when the tests' clocks start.
var day0 = time.Date(2026, 11, 22, 1, 20, 25, 698701355, time.UTC)

// newWriter is a logger in process. Its clock is the real one unless cfg has another.
func newWriter(s *Store, module string, gen int64, cfg segment.Config) *segment.Writer {
	cfg.Dir = s.GenerationDir(module, gen)
	if cfg.Now == nil {
		cfg.Now = func() int64 { return time.Now().UnixNano() }
	}
	w := segment.New(cfg)
	w.Start()
	return w
}

// ticking is a clock that starts at day0 and goes on by a second each time it is asked.
func ticking() func() int64 {
	t := day0
	return func() int64 {
		now := t
		t = t.Add(time.Second)
		return now.UnixNano()
	}
}

// read copies what there is. The error is of Copy.
func read(t testing.TB, s *Store, module string, opt Options) (string, error) {
	t.Helper()
	var b bytes.Buffer
	err := s.Copy(context.Background(), &b, module, opt, nil)
	return b.String(), err
}

func mustRead(t testing.TB, s *Store, module string, opt Options) string {
	t.Helper()
	got, err := read(t, s, module, opt)
	require.NoError(t, err)
	return got
}

// put writes a segment as it is.
func put(t testing.TB, s *Store, module string, gen, seq int64, text string) {
	t.Helper()
	dir := s.GenerationDir(module, gen)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, segment.Name(seq)), []byte(text), 0o600))
}

type frame struct {
	stream byte
	text   string
}

// frames takes Docker's stream apart and requires that each chunk is one frame.
func frames(t testing.TB, chunks [][]byte) []frame {
	t.Helper()
	var out []frame
	for _, c := range chunks {
		require.GreaterOrEqual(t, len(c), 8)
		require.LessOrEqual(t, len(c), 32<<10)
		require.Equal(t, []byte{0, 0, 0}, c[1:4])
		require.EqualValues(t, len(c)-8, binary.BigEndian.Uint32(c[4:8]))
		out = append(out, frame{c[0], string(c[8:])})
	}
	return out
}

// chunkWriter keeps each Write apart.
type chunkWriter struct{ chunks [][]byte }

func (c *chunkWriter) Write(b []byte) (int, error) {
	c.chunks = append(c.chunks, bytes.Clone(b))
	return len(b), nil
}
