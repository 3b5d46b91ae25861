package modulelog

import (
	"bytes"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// maxAhead bounds how many segments a follower holds open beyond the one it reads. Segments that rotation removes stay
// on the disk as long as somebody has them open, and a client decides how fast it reads.
const maxAhead = 8

// span is what is to be read of one open segment.
type span struct {
	f        *os.File
	off, end int64 // end -1: whatever comes
}

// cursor is a place in the log of one generation.
type cursor struct {
	gen   int64
	dir   *os.File
	spans []*span // in order; when following, the last one grows
	next  int64   // the number after the last segment that was opened
	live  bool    // segments that are opened from now on are read as far as they go
}

func (c *cursor) close() {
	for _, s := range c.spans {
		_ = s.f.Close()
	}
	c.spans = nil
	_ = c.dir.Close()
}

// fill opens the segments that are there, limit at most. Rotation may remove one between the listing and the opening; then
// newer ones have come, and it lists again.
func (c *cursor) fill(limit int) error {
	for range 3 {
		seqs, err := listNumbers(c.dir, segment.ParseName)
		if err != nil {
			return err
		}
		missed := false
		for _, seq := range seqs {
			if seq < c.next {
				continue
			}
			if len(c.spans) >= limit {
				return nil
			}
			err := c.open(seq)
			if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
				return err
			}
			missed = missed || errors.Is(err, fs.ErrNotExist)
		}
		if !missed {
			break
		}
	}
	return nil
}

func (c *cursor) open(seq int64) error {
	f, size, err := openSegment(c.dir, seq)
	if err != nil {
		return err
	}
	if c.live {
		size = -1
	}
	c.spans = append(c.spans, &span{f: f, end: size})
	c.next = seq + 1
	return nil
}

// peek opens the segment after the last, if there is one by now. Early: a logger at full speed removes segments soon.
func (c *cursor) peek() error {
	if len(c.spans) > maxAhead {
		return nil
	}
	behind := len(c.spans) == 0
	if !behind {
		err := c.open(c.next)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// The oldest is always removed first: when the last one we have is gone, so may be the next, and others are there.
		behind = removed(c.spans[len(c.spans)-1].f)
	}
	if !behind {
		return nil
	}
	return c.fill(maxAhead)
}

// settle ends the last segment behind its last newline when its logger lives: what comes after is being written.
func (c *cursor) settle(buf []byte) error {
	if len(c.spans) == 0 || !lockHeld(c.dir) {
		return nil
	}
	s := c.spans[len(c.spans)-1]
	for end := s.end; end > 0; {
		start := max(0, end-segment.MaxLine)
		n, err := readAt(s.f, buf[:end-start], start)
		if err != nil {
			return err
		}
		if nl := bytes.LastIndexByte(buf[:n], '\n'); nl >= 0 {
			s.end = start + int64(nl) + 1
			return nil
		}
		end = start
	}
	s.end = 0
	return nil
}
