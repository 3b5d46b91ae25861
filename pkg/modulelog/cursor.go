package modulelog

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// maxAhead bounds how many segments a follower holds open beyond the one it reads. Segments that rotation removes stay
// on the disk as long as somebody has them open, and a client decides how fast it reads.
const maxAhead = 8

// youngLooks is the number of looks at a segment during which each one looks for the next segment too: small ones are soon
// removed. Later ones do only when the segment did not grow, which it does not once there is a next one.
const youngLooks = 16

// span is what is to be read of one open segment.
type span struct {
	f        segmentFile
	off, end int64 // end -1: whatever comes
	looks    int   // how often it was read to its end
}

// cursor is a place in the log of one generation.
type cursor struct {
	gen   int64
	dir   *os.File
	spans []*span // in order; when following, the last one grows
	next  int64   // the number after the last segment that was opened
	live  bool    // it follows: new segments are looked for
}

func (c *cursor) close() {
	for _, s := range c.spans {
		s.f.close()
	}
	c.spans = nil
	_ = c.dir.Close()
}

// rewind opens the segments that are there, the newest first, until visit has enough of them. Rotation may remove even the
// newest between the listing and the opening; then newer ones have come, and it lists again.
func (c *cursor) rewind(visit func(s *span) (enough bool, err error)) error {
	for range 3 {
		seqs, err := listNumbers(c.dir, segment.ParseName)
		if err != nil {
			return err
		}
		for _, seq := range slices.Backward(seqs) {
			f, size, err := openSegment(c.dir, seq)
			if full(err) {
				return err
			}
			if err != nil {
				continue
			}
			s := &span{f: f, end: size}
			if len(c.spans) == 0 {
				c.next = seq + 1
			}
			c.spans = slices.Insert(c.spans, 0, s)
			if enough, err := visit(s); enough || err != nil {
				return err
			}
		}
		if len(c.spans) > 0 || len(seqs) == 0 {
			break
		}
	}
	return nil
}

// full says whether there is no descriptor left. What else keeps a segment from being opened is the segment's own.
func full(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// fill opens the segments that have come, the oldest first, maxAhead at most. Rotation may remove one between the listing and
// the opening; then newer ones have come, and it lists again.
func (c *cursor) fill() error {
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
			if len(c.spans) >= maxAhead {
				return nil
			}
			err := c.open(seq)
			if full(err) {
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

// open adds a segment that is read as far as it goes.
func (c *cursor) open(seq int64) error {
	f, _, err := openSegment(c.dir, seq)
	if err != nil {
		return err
	}
	c.spans = append(c.spans, &span{f: f, end: -1})
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
		behind = removed(int(c.spans[len(c.spans)-1].f))
	}
	if !behind {
		return nil
	}
	return c.fill()
}

// settle ends the newest segment behind its last newline when its logger lives: what comes after is being written.
func (c *cursor) settle(s *span, buf []byte) error {
	if !lockHeld(c.dir) {
		return nil
	}
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
