package segment

import (
	"bytes"
	"errors"
	"syscall"
)

// BatchSize is a good size for [Config].Batch: what one read of 64 KiB becomes when its lines are of ordinary length.
const BatchSize = 96 << 10

// Config is what a [Writer] needs to know.
type Config struct {
	Dir     string       // the generation's folder: absolute; made, with its parents, when it is not there
	MaxSize int64        // bytes of a segment; 0 or less: DefaultMaxSize
	MaxFile int          // segments that are kept; 0 or less: DefaultMaxFile
	Now     func() int64 // the clock: nanoseconds since 1970
	Batch   []byte       // memory for one write(2), at least MaxLine bytes; in use only during a call; nil: it is made
}

// Writer appends what a module writes to the segments of one generation's folder. Nothing that can happen to the folder
// stops it: what cannot be stored is dropped and counted, and as soon as something can be stored again, a line on
// stderr's behalf says how much is missing. It is for one goroutine.
type Writer struct {
	cfg Config
	dir folder

	fd   int     // the segment that is written to; -1: none yet
	size int64   // its size in bytes
	segs []int64 // the numbers of the segments that exist, ascending; the last is fd's
	torn bool    // it does not end with a newline

	last    int64 // the latest time that was written
	headers [2][HeaderLen]byte
	pending [2][]byte // of each stream, what came after its last newline
	out     []byte    // lines that wait for the end of the batch

	lost lost
}

// New makes a writer. It touches nothing yet.
func New(cfg Config) *Writer {
	if cfg.MaxSize <= 0 {
		cfg.MaxSize = DefaultMaxSize
	}
	if cfg.MaxFile <= 0 {
		cfg.MaxFile = DefaultMaxFile
	}
	if len(cfg.Batch) < MaxLine {
		cfg.Batch = make([]byte, BatchSize)
	}
	w := &Writer{cfg: cfg, dir: folder{fd: -1, lock: -1}, fd: -1, out: cfg.Batch[:0]}
	for i, name := range [...]string{" stdout F ", " stderr F "} {
		copy(w.headers[i][StampLen:], name)
		w.pending[i] = make([]byte, 0, MaxText)
	}
	return w
}

// Start makes the folder and takes its lock, as far as that can be done. What fails is tried again later.
func (w *Writer) Start() { w.dir.start(w.cfg.Dir) }

// Locked says whether the writer holds the folder's lock, which is how others see that it lives. While it is false,
// Start should be called now and then: somebody may have been looking at the lock just when it was wanted.
func (w *Writer) Locked() bool { return w.dir.locked }

// Feed takes what was read from a stream, and stores the lines that are whole: with one write(2), unless they are so
// short that they do not fit. All of them get the same time stamp. p is not kept.
func (w *Writer) Feed(s Stream, p []byte) {
	w.tick()
	i := s - 1
	pending := w.pending[i]
	for len(p) > 0 {
		nl := bytes.IndexByte(p, '\n')
		text := p
		if nl >= 0 {
			text, p = p[:nl], p[nl+1:]
		}
		for len(pending)+len(text) > MaxText {
			n := MaxText - len(pending)
			w.put(i, piece, pending, text[:n])
			pending, text = pending[:0], text[n:]
		}
		if nl < 0 {
			pending = append(pending, text...)
			break
		}
		w.put(i, full, pending, text)
		pending = pending[:0]
	}
	w.pending[i] = pending
	w.flush()
}

// Close stores what the streams left unfinished, tells a last time what was lost, and gives the lock back.
func (w *Writer) Close() {
	w.tick()
	for i := range w.pending {
		if n := len(w.pending[i]); n > 0 {
			w.put(Stream(i), piece, w.pending[i], nil)
			if n == MaxText { // it would look as if it were continued
				w.put(Stream(i), piece, nil, nil)
			}
			w.pending[i] = w.pending[i][:0]
		}
	}
	w.flush()
	if w.lost.lines > 0 && w.open() {
		w.mend()
	}
	if w.fd >= 0 {
		_ = syscall.Close(w.fd)
		w.fd = -1
	}
	w.dir.close()
}

// tick sets the time stamp of the lines to come. A clock that steps back is held at the latest time that was written:
// readers search segments by time.
func (w *Writer) tick() {
	if now := w.cfg.Now(); now > w.last || w.last == 0 {
		w.last = max(now, 1)
		PutStamp(w.headers[0][:], w.last)
		copy(w.headers[1][:StampLen], w.headers[0][:StampLen])
	}
}

// put adds one line, whose text is a and then b, to the batch.
func (w *Writer) put(i Stream, flag byte, a, b []byte) {
	if len(w.out)+HeaderLen+len(a)+len(b)+1 > cap(w.out) {
		w.flush()
	}
	out := append(w.out, w.headers[i][:]...)
	out[len(out)-2] = flag
	out = append(out, a...)
	out = append(out, b...)
	w.out = append(out, '\n')
}

// flush stores the batch, over as many segments as it needs, or drops what cannot be stored.
func (w *Writer) flush() {
	b := w.out
	w.out = w.out[:0]
	for len(b) > 0 {
		if !w.open() || (w.torn || w.lost.lines > 0) && !w.mend() {
			w.lost.add(b)
			return
		}
		n := w.fits(b)
		if n == 0 {
			if !w.rotate() {
				w.lost.add(b)
				return
			}
			continue
		}
		done := w.write(b[:n])
		if done < n {
			w.lost.add(b[bytes.LastIndexByte(b[:done], '\n')+1:])
			return
		}
		b = b[n:]
	}
}

// fits says how many bytes of b, which is whole lines, go into the segment. An empty segment takes one line of any length.
func (w *Writer) fits(b []byte) int {
	room := w.cfg.MaxSize - w.size
	if int64(len(b)) <= room {
		return len(b)
	}
	if n := bytes.LastIndexByte(b[:max(room, 0)], '\n') + 1; n > 0 || w.size > 0 {
		return n
	}
	return bytes.IndexByte(b, '\n') + 1
}

// write appends b to the segment and says how much of it got there.
func (w *Writer) write(b []byte) int {
	done := 0
	for done < len(b) {
		n, err := syscall.Write(w.fd, b[done:])
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if n > 0 {
			done += n
		}
		if err != nil || n <= 0 {
			w.lost.because(err)
			break
		}
	}
	w.size += int64(done)
	if done > 0 {
		w.torn = b[done-1] != '\n'
	}
	return done
}

// mend ends a line that was cut off and tells what was lost. It is false when the segment still cannot be written to.
func (w *Writer) mend() bool {
	var room [256]byte
	note := room[:0]
	if w.torn {
		note = append(note, '\n')
	}
	if w.lost.lines > 0 {
		note = append(note, w.headers[Stderr-1][:]...)
		note = w.lost.tell(note)
	}
	if w.size > 0 && w.size+int64(len(note)) > w.cfg.MaxSize {
		return w.rotate() && (w.lost.lines == 0 || w.mend())
	}
	if w.write(note) < len(note) {
		return false
	}
	w.lost = lost{}
	return true
}
