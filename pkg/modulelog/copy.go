package modulelog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// blockSize is how much is read at once, in bytes. The longest line fits several times.
const blockSize = 128 << 10

// buffers are what one reader works with. Followers that wait have none.
type buffers struct{ in, out []byte }

func newBuffers() *buffers {
	return &buffers{in: make([]byte, blockSize), out: make([]byte, 0, chunkSize)}
}

// Copy writes the log of a module, the oldest generation first. Each Write is a chunk that is complete: in [Docker] framing
// one frame of at most 32 KiB, in [Plain] whole lines of up to 256 KiB; a line that is longer comes in several.
// A module that has no log has an empty one.
//
// With Follow it goes on with the lines that come, of generations that come too, and calls w's Flush, if it has one, when
// there is nothing more to write for the moment. It returns nil when done is closed and everything is written, for
// which it waits until the loggers have ended, 2 s at most; or when Until has passed. It returns ctx's error when that
// ends first. A follower that is slower than rotation misses what was removed before it came there.
func (s *Store) Copy(ctx context.Context, w io.Writer, module string, opt Options, done <-chan struct{}) error {
	r := &reader{store: s, module: module, opt: opt, want: opt.wants()}
	r.out = renderer{w: w, docker: opt.Framing == Docker, stamps: opt.Timestamps, want: r.want}
	defer r.close()
	r.take()
	if err := r.begin(); err != nil {
		return err
	}
	if opt.Follow {
		return r.follow(ctx, done)
	}
	for _, c := range r.cursors {
		if _, err := r.drain(ctx, c, true); err != nil {
			return err
		}
		if err := r.out.finish(); err != nil {
			return err
		}
		c.close()
	}
	r.cursors = nil
	return r.out.flush()
}

// reader is one call of Copy.
type reader struct {
	store   *Store
	module  string
	opt     Options
	want    [3]bool
	out     renderer
	bufs    *buffers
	cursors []*cursor // by generation, ascending
	rounds  int       // of following
	quiet   bool      // the last of them found nothing
}

func (r *reader) close() {
	for _, c := range r.cursors {
		c.close()
	}
	r.give()
}

func (r *reader) take() {
	if r.bufs == nil {
		r.bufs = r.store.pool.Get().(*buffers)
		r.out.out = r.bufs.out[:0]
	}
}

func (r *reader) give() {
	if r.bufs != nil {
		if cap(r.out.out) <= 2*chunkSize {
			r.bufs.out = r.out.out[:0]
		}
		r.store.pool.Put(r.bufs)
		r.bufs, r.out.out = nil, nil
	}
}

// begin opens what is asked for, from the newest on backwards. A follower has at least the newest segment of each
// generation, to see what comes after it.
func (r *reader) begin() error {
	dir, gens, err := r.generations()
	if dir == nil {
		return err
	}
	defer dir.Close()
	since, until := bound(r.opt.Since), bound(r.opt.Until)
	t := tail{n: r.opt.Tail, want: r.want, buf: r.bufs.in}
	for _, gen := range slices.Backward(gens) {
		if t.enough() && !r.opt.Follow {
			break
		}
		f, err := openDirAt(dir, genName(gen))
		if err != nil {
			continue // removed since, or no folder
		}
		c := &cursor{gen: gen, dir: f}
		r.cursors = slices.Insert(r.cursors, 0, c)
		err = c.rewind(func(s *span) (bool, error) {
			if len(c.spans) == 1 {
				if err := c.settle(s, r.bufs.in); err != nil {
					return false, err
				}
			}
			if err := r.within(s, since, until); err != nil {
				return false, err
			}
			return t.cut(s)
		})
		if err != nil {
			return r.failed(err)
		}
	}
	if r.opt.Follow {
		for _, c := range r.cursors {
			c.live = true
			for _, s := range c.spans {
				s.end = -1
			}
		}
		r.out.since, r.out.until = since, until
	}
	return nil
}

// within leaves of a span what is of the time that is asked for.
func (r *reader) within(s *span, since, until string) error {
	x := search{f: s.f, buf: r.bufs.in}
	var err error
	if since != "" {
		if s.off, err = x.first(0, s.end, since, false); err != nil {
			return err
		}
	}
	if until != "" {
		s.end, err = x.first(s.off, s.end, until, true)
	}
	return err
}

func (r *reader) failed(err error) error {
	return fmt.Errorf("cannot read log of module %q: %w", r.module, err)
}

// generations opens the module's folder and lists its generations, ascending. The folder is nil when there is none.
func (r *reader) generations() (*os.File, []int64, error) {
	dir, err := r.store.openModule(r.module)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, r.failed(err)
	}
	gens, err := listNumbers(dir, segment.ParseNumber)
	if err != nil {
		_ = dir.Close()
		return nil, nil, r.failed(err)
	}
	return dir, gens, nil
}

// discover adds cursors for generations that have come, and says whether any has.
func (r *reader) discover() (bool, error) {
	dir, gens, err := r.generations()
	if dir == nil {
		return false, err
	}
	defer dir.Close()
	came := false
	for _, gen := range gens {
		i, known := slices.BinarySearchFunc(r.cursors, gen, func(c *cursor, gen int64) int { return cmp.Compare(c.gen, gen) })
		if known {
			continue
		}
		f, err := openDirAt(dir, genName(gen))
		if err != nil {
			continue // removed since, or no folder
		}
		c := &cursor{gen: gen, dir: f, live: true}
		r.cursors = slices.Insert(r.cursors, i, c)
		came = true
		if err := c.fill(); err != nil {
			return came, r.failed(err)
		}
	}
	return came, nil
}

// drain writes what there is of a generation, and says whether there was anything. With final, an unfinished line at its
// very end is written too.
func (r *reader) drain(ctx context.Context, c *cursor, final bool) (bool, error) {
	news := false
	if len(c.spans) == 0 && c.live {
		if err := c.peek(); err != nil {
			return false, r.failed(err)
		}
	}
	for len(c.spans) > 0 && !r.out.over {
		s := c.spans[0]
		last := len(c.spans) == 1
		more, err := r.span(ctx, c, s, final || !last)
		news = news || more
		if err != nil {
			return news, err
		}
		s.looks++
		if c.live && (!more || !last || final || s.looks <= youngLooks) {
			if err := c.peek(); err != nil {
				return news, r.failed(err)
			}
		}
		if len(c.spans) == 1 {
			break
		}
		// There is a newer one, so this one is complete now; it was perhaps not when it was read.
		if last {
			if _, err := r.span(ctx, c, s, true); err != nil {
				return news, err
			}
		}
		s.f.close()
		c.spans = c.spans[1:]
	}
	return news, nil
}

// span writes what there is of a segment from where it was left, and says whether there was anything. An unfinished line
// at its end is written only if it is complete, which is: nobody goes on with it.
func (r *reader) span(ctx context.Context, c *cursor, s *span, complete bool) (bool, error) {
	news := false
	for !r.out.over {
		if err := ctx.Err(); err != nil {
			return news, err
		}
		b := r.bufs.in
		if s.end >= 0 && s.end-s.off < int64(len(b)) {
			b = b[:s.end-s.off]
		}
		n, err := readAt(s.f, b, s.off)
		if err != nil {
			return news, r.failed(err)
		}
		if n == 0 {
			return news, nil
		}
		whole := bytes.LastIndexByte(b[:n], '\n') + 1
		if whole == 0 {
			if !complete && n < len(r.bufs.in) {
				return news, nil
			}
			whole = n
		}
		s.off += int64(whole)
		news = true
		if err := r.out.block(b[:whole]); err != nil {
			return news, err
		}
		if n < len(b) && (!complete || whole == n) {
			return news, nil // the end of the file, without asking again
		}
		if c.live {
			if err := c.peek(); err != nil {
				return news, r.failed(err)
			}
		}
	}
	return news, nil
}
