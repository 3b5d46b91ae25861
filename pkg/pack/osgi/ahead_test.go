package osgi

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// TestReadingAheadGivesTheSame bytes as the reader itself, and the same ends.
func TestReadingAheadGivesTheSame(t *testing.T) {
	text := make([]byte, 3*aheadSize+17)
	for i := range text {
		text[i] = byte(i * i >> 7)
	}
	r := bytes.NewReader(text)
	rapid.Check(t, func(t *rapid.T) {
		a := &ahead{r: r}
		for range 20 {
			off := rapid.Int64Range(0, int64(len(text))+10).Draw(t, "off")
			want := make([]byte, rapid.IntRange(1, aheadSize+10).Draw(t, "size"))
			got := make([]byte, len(want))
			n, err := r.ReadAt(want, off)
			m, err2 := a.ReadAt(got, off)
			if n != m || !bytes.Equal(got[:m], want[:n]) || errors.Is(err, io.EOF) != errors.Is(err2, io.EOF) {
				t.Fatalf("%d bytes at %d: %d, %v and %d, %v", len(want), off, n, err, m, err2)
			}
		}
	})
}
