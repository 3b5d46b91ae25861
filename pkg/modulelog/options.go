package modulelog

import (
	"time"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// Framing is how lines are put on the wire.
type Framing int

// The framings.
const (
	// Plain is the lines and nothing else, the streams mixed. The pieces of a long line are one line again.
	Plain Framing = iota
	// Docker is the multiplexed stream of Docker's logs API without a terminal: frames of an eight-byte header, which is
	// stream (1 stdout, 2 stderr), three zeros, the length of the payload in big endian, and the payload. A frame
	// holds one or several lines of one stream, or a piece of a long one, which then has no newline.
	Docker
)

// Options of one read. Since and Until choose the lines first, both included; Tail counts from the end of those.
type Options struct {
	Tail           int       // the number of lines from the end; negative: all
	Since, Until   time.Time // zero: no limit
	Timestamps     bool      // each line begins with its time stamp and a space
	Follow         bool      // lines that come are written too
	Framing        Framing   // how
	Stdout, Stderr bool      // which streams; neither: both
}

// wants says which streams are asked for, by their numbers.
func (o Options) wants() [3]bool {
	both := !o.Stdout && !o.Stderr
	return [3]bool{segment.Stdout: o.Stdout || both, segment.Stderr: o.Stderr || both}
}

// bound makes a time comparable, byte by byte, to the stamps of lines; "" when there is none.
func bound(t time.Time) string {
	const first, last = "0000-01-01T00:00:00.000000000Z", "9999-12-31T23:59:59.999999999Z"
	switch sec := t.Unix(); {
	case t.IsZero():
		return ""
	case sec < -62167219200: // before the year 0
		return first
	case sec > 253402300799: // after the year 9999
		return last
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000000Z")
}
