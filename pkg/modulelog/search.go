package modulelog

import (
	"bytes"
	"errors"
	"io"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// Within a segment time stamps never decrease, so a time is found by halving. Lines are not of one length: each step
// looks for the first line that begins at or after the middle.

const (
	searchBlock = 16 << 10 // what is left when halving ends and reading begins
	probeBlock  = 4 << 10
)

// search finds lines in one segment by time. buf has at least searchBlock+HeaderLen bytes.
type search struct {
	f   io.ReaderAt
	buf []byte
}

// first gives the offset of the first line between lo and hi whose stamp is not before bound, or with after set, is
// behind it; hi if there is none. lo must be the beginning of a line.
func (x search) first(lo, hi int64, bound string, after bool) (int64, error) {
	past := func(stamp []byte) bool {
		if after {
			return string(stamp) > bound
		}
		return string(stamp) >= bound
	}
	result, end := hi, hi // no line that begins between end and result has a stamp
	for end-lo > searchBlock {
		middle := lo + (end-lo)/2
		at, stamp, err := x.line(middle, end)
		if err != nil {
			return 0, err
		}
		switch {
		case stamp == nil:
			end = middle
		case past(stamp):
			result, end = at, middle
		default:
			lo = at
		}
	}
	n, err := readAt(x.f, x.buf[:min(int64(len(x.buf)), end-lo+segment.HeaderLen)], lo)
	if err != nil {
		return 0, err
	}
	block := x.buf[:n]
	for at := 0; at < n && lo+int64(at) < end; {
		if segment.ValidStamp(block[at:]) && past(block[at:at+segment.StampLen]) {
			return lo + int64(at), nil
		}
		nl := bytes.IndexByte(block[at:], '\n')
		if nl < 0 {
			break
		}
		at += nl + 1
	}
	return result, nil
}

// line finds the first line that begins in [from, end) and has a stamp. The stamp is nil if there is none.
func (x search) line(from, end int64) (int64, []byte, error) {
	for at := from - 1; at < end; {
		n, err := readAt(x.f, x.buf[:probeBlock], at)
		if err != nil {
			return 0, nil, err
		}
		nl := bytes.IndexByte(x.buf[:n], '\n')
		if nl < 0 {
			if n < probeBlock {
				break
			}
			at += int64(n)
			continue
		}
		start := at + int64(nl) + 1
		if start >= end {
			break
		}
		head := x.buf[nl+1 : n]
		if len(head) < segment.StampLen {
			n, err := readAt(x.f, x.buf[:segment.StampLen], start)
			if err != nil {
				return 0, nil, err
			}
			head = x.buf[:n]
		}
		if segment.ValidStamp(head) {
			return start, head[:segment.StampLen], nil
		}
		at = start // its newline, or an empty line's
	}
	return 0, nil, nil
}

// readAt is ReadAt for which the end of the file is no error.
func readAt(f io.ReaderAt, b []byte, at int64) (int, error) {
	n, err := f.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
