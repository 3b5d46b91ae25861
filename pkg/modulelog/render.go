package modulelog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/edged/edged/pkg/modulelog/segment"
)

const (
	// chunkSize is what one Write of plain lines takes, in bytes; a line that is longer alone may go beyond it.
	chunkSize = 128 << 10
	// frameSize bounds a frame of Docker's, with its header, in bytes.
	frameSize   = 32 << 10
	frameHeader = 8
	// heldSize is how much of a long line of pieces is kept back, in bytes, so that the other stream's lines do not cut it.
	heldSize = 64 << 10
)

// stampSpace is how much of a header a time stamp and the space after it are.
const stampSpace = segment.StampLen + 1

// renderer turns the lines of segments into what a client gets.
type renderer struct {
	w      io.Writer
	docker bool
	stamps bool
	want   [3]bool
	since  string // lines before it are left out; "": none
	until  string // a line behind it ends the reading; "": none
	over   bool   // it has come

	out     []byte
	stream  segment.Stream // whose frame is in out
	parts   [3]part
	open    segment.Stream // whose line in out, or written, has no newline yet; 0: there is none
	joining bool           // a part is in the middle, or a line is open
	wrote   bool           // something was written
}

// part is the line of one stream that its pieces have not finished.
type part struct {
	middle bool
	held   []byte
}

// block takes whole lines. Only the last one may lack its newline.
func (r *renderer) block(b []byte) error {
	for len(b) > 0 && !r.over {
		var line []byte
		if n := bytes.IndexByte(b, '\n'); n >= 0 {
			line, b = b[:n], b[n+1:]
		} else {
			line, b = b, nil
		}
		s, partial, ok := segment.Header(line)
		if !ok {
			if err := r.stray(line); err != nil {
				return err
			}
			continue
		}
		if r.until != "" && string(line[:segment.StampLen]) > r.until {
			r.over = true
			break
		}
		if !r.want[s] || r.since != "" && string(line[:segment.StampLen]) < r.since {
			continue
		}
		if err := r.line(s, partial, line); err != nil {
			return err
		}
	}
	return nil
}

func (r *renderer) line(s segment.Stream, partial bool, line []byte) error {
	stamp, text := line[:0], line[segment.HeaderLen:]
	if r.stamps && !r.parts[s].middle {
		stamp = line[:stampSpace]
	}
	ends := segment.Ends(partial, len(text))
	if r.docker {
		r.parts[s].middle = !ends
		return r.frame(s, stamp, text, ends)
	}
	if r.joining || !ends {
		return r.join(s, stamp, text, ends)
	}
	if err := r.room(len(stamp) + len(text) + 1); err != nil {
		return err
	}
	r.out = append(r.out, stamp...)
	r.out = append(r.out, text...)
	r.out = append(r.out, '\n')
	return nil
}

// stray passes on what is no line of ours as it is. A bad disk made it, or the end of a logger.
func (r *renderer) stray(text []byte) error {
	if segment.TornHeader(text) || !r.want[segment.Stdout] {
		return nil
	}
	if !r.docker {
		return r.join(segment.Stdout, nil, text, true)
	}
	for len(text) > segment.MaxText {
		if err := r.frame(segment.Stdout, nil, text[:segment.MaxText], false); err != nil {
			return err
		}
		text = text[segment.MaxText:]
	}
	return r.frame(segment.Stdout, nil, text, true)
}

// join puts the pieces of a line together. A line of another stream that comes between them waits for nobody: it comes
// first, or, when the long one is too long to be held, on a line of its own.
func (r *renderer) join(s segment.Stream, stamp, text []byte, ends bool) error {
	p := &r.parts[s]
	if ends || len(p.held)+len(stamp)+len(text) > heldSize {
		if err := r.room(1 + len(p.held) + len(stamp) + len(text) + 1); err != nil {
			return err
		}
		if r.open != 0 && r.open != s {
			r.out = append(r.out, '\n')
		}
		r.out = append(r.out, p.held...)
		r.out = append(r.out, stamp...)
		r.out = append(r.out, text...)
		p.held = p.held[:0]
		r.open = s
		if ends {
			r.out = append(r.out, '\n')
			r.open, p.held = 0, nil
		}
	} else {
		p.held = append(p.held, stamp...)
		p.held = append(p.held, text...)
	}
	p.middle = !ends
	r.joining = r.open != 0 || r.parts[segment.Stdout].middle || r.parts[segment.Stderr].middle
	return nil
}

// finish ends the lines that will get no more pieces.
func (r *renderer) finish() error {
	for _, s := range [...]segment.Stream{segment.Stdout, segment.Stderr} {
		if !r.parts[s].middle {
			continue
		}
		r.parts[s].middle = false
		var err error
		if r.docker {
			err = r.frame(s, nil, nil, true)
		} else {
			err = r.join(s, nil, nil, true)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// room makes room for n bytes in the chunk.
func (r *renderer) room(n int) error {
	if len(r.out)+n > chunkSize {
		return r.flush()
	}
	return nil
}

// frame adds a line, or a piece of one, to the frame of its stream.
func (r *renderer) frame(s segment.Stream, stamp, text []byte, ends bool) error {
	if len(r.out) > 0 && (r.stream != s || len(r.out)+len(stamp)+len(text)+1 > frameSize) {
		if err := r.flush(); err != nil {
			return err
		}
	}
	if len(r.out) == 0 {
		r.stream = s
		r.out = append(r.out, byte(s), 0, 0, 0, 0, 0, 0, 0)
	}
	// A line of ours fits into a frame. A longer one, of a bad disk, is cut.
	text = text[:min(len(text), frameSize-len(r.out)-len(stamp)-1)]
	r.out = append(r.out, stamp...)
	r.out = append(r.out, text...)
	if ends {
		r.out = append(r.out, '\n')
	}
	return nil
}

// flush writes what there is, as one chunk.
func (r *renderer) flush() error {
	if len(r.out) == 0 {
		return nil
	}
	if r.docker {
		binary.BigEndian.PutUint32(r.out[4:frameHeader], uint32(len(r.out)-frameHeader))
	}
	_, err := r.w.Write(r.out)
	r.out = r.out[:0]
	r.wrote = true
	if err != nil {
		return fmt.Errorf("cannot write log: %w", err)
	}
	return nil
}
