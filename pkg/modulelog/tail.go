package modulelog

import (
	"bytes"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// firstTailBlock is what is read first, in bytes, from the end backwards: a hundred lines are in it most of the time.
const firstTailBlock = 16 << 10

// tail counts lines from the end backwards, until it has n or comes to the beginning.
type tail struct {
	n     int // negative: all
	want  [3]bool
	buf   []byte
	seen  int
	found bool // the line that ends before the first one to keep; everything older is left out
}

// cut moves the beginning of a span so that of the lines in it, those that are among the last n are left, and says whether
// that is all of them. Spans come in reverse order. A long line counts by its end, and begins behind the line that ended
// before it: where the other stream came between its pieces, its beginning may be missing.
func (t *tail) cut(s *span) (bool, error) {
	if t.enough() {
		s.off = s.end
		return true, nil
	}
	if t.n < 0 {
		return false, nil
	}
	var err error
	t.found, err = t.back(s)
	return t.found, err
}

// enough says whether all that is older is left out.
func (t *tail) enough() bool { return t.found || t.n == 0 }

// back looks for the line that ends before the first one to keep. If it is in this span, the span begins after it.
func (t *tail) back(s *span) (bool, error) {
	size := int64(firstTailBlock)
	for end := s.end; end > s.off; size = int64(len(t.buf)) {
		start := max(s.off, end-size)
		n, err := readAt(s.f, t.buf[:end-start], start)
		if err != nil {
			return false, err
		}
		b := t.buf[:n]
		for len(b) > 0 {
			line := bytes.LastIndexByte(b[:len(b)-1], '\n') + 1
			if line == 0 && start > s.off && len(b) < len(t.buf) {
				break // it may begin before the block
			}
			if t.ends(b[line:]) {
				if t.seen == t.n {
					s.off = start + int64(len(b))
					return true, nil
				}
				t.seen++
			}
			b = b[:line]
		}
		end = start + int64(len(b))
		if n == 0 {
			return false, nil // it has become shorter, which ours never do
		}
	}
	return false, nil
}

// ends says whether something that a client sees as a line ends with this one of the segment.
func (t *tail) ends(line []byte) bool {
	if line[len(line)-1] == '\n' {
		line = line[:len(line)-1]
	}
	s, partial, ok := segment.Header(line)
	if !ok {
		return t.want[segment.Stdout] && !segment.TornHeader(line)
	}
	return t.want[s] && segment.Ends(partial, len(line)-segment.HeaderLen)
}
