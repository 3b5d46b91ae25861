package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/content"
	"github.com/edged/edged/pkg/work"
)

const (
	// uploadsAtOnce bounds uploads under way, and maxParts the bundles of one.
	uploadsAtOnce = 4
	maxParts      = 256
	// Overhead is what a request may have beside its bundles, in bytes.
	Overhead = 256 << 10
)

// Upload is bundles on their way. Whoever began it ends it with Install or Abort.
type Upload struct {
	b        *Bundles
	parts    []*content.Staged
	taken    int64
	promised int64
	release  func()
}

// Receive begins an upload whose request has so many bytes, negative when nobody knows.
// Whatever can be refused before a byte is read is refused here. Errors: OutOfRange (too
// large), ResourceExhausted (the disk), Unavailable.
func (b *Bundles) Receive(size int64) (*Upload, error) {
	if size > b.MaxSize+Overhead {
		return nil, b.tooLarge()
	}
	u := &Upload{b: b, promised: max(size, 0)}
	b.mu.Lock()
	switch {
	case b.work.Closed():
		b.mu.Unlock()
		return nil, work.ErrStopping
	case b.slots == uploadsAtOnce:
		b.mu.Unlock()
		return nil, fmt.Errorf("%d uploads of bundles are under way already: try again later: %w", uploadsAtOnce, errdefs.ErrUnavailable)
	}
	b.slots++
	b.mu.Unlock()
	b.Content.Promise(u.promised)
	u.release = sync.OnceFunc(func() {
		b.Content.Promise(-u.promised)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.slots--
	})
	if err := b.room(); err != nil {
		u.release()
		return nil, err
	}
	return u, nil
}

func (b *Bundles) tooLarge() error {
	return fmt.Errorf("the bundles are larger than the %d bytes that this device takes ([uploads] max_size): %w", b.MaxSize, errdefs.ErrOutOfRange)
}

// room says whether the disk has more than what is promised to uploads and the floor.
func (b *Bundles) room() error {
	free, promised, err := b.Content.Room()
	if err != nil {
		return err
	}
	if free-promised < b.FreeFloor {
		return fmt.Errorf("the disk has %d bytes free, uploads under way need %d of them, and %d have to stay free ([uploads] free_floor): %w",
			free, promised, b.FreeFloor, errdefs.ErrResourceExhausted)
	}
	return nil
}

// Add takes the bytes of one bundle, or of a package of bundles. Errors: as of Receive, r's
// own. After one the upload is to be aborted.
func (u *Upload) Add(ctx context.Context, r io.Reader) error {
	if len(u.parts) == maxParts {
		return fmt.Errorf("the request has more than %d bundles: %w", maxParts, errdefs.ErrInvalidArgument)
	}
	var counted int64
	staged, err := u.b.stage(ctx, r, func(n int64) error {
		if u.taken+n-counted > u.b.MaxSize {
			return u.b.tooLarge()
		}
		// What is written is in what the disk says, so it is promised no more.
		kept := min(n-counted, u.promised)
		u.promised -= kept
		u.b.Content.Promise(-kept)
		u.taken, counted = u.taken+n-counted, n
		return nil
	})
	if err != nil {
		return err
	}
	u.parts = append(u.parts, staged)
	return nil
}

// stage takes bytes in. check is asked now and then with how many there are.
func (b *Bundles) stage(ctx context.Context, r io.Reader, check func(size int64) error) (*content.Staged, error) {
	staged, err := b.Content.Stage(ctx)
	if err == nil {
		err = staged.ReadAll(r, func(size int64) error {
			if err := check(size); err != nil {
				return err
			}
			return b.room()
		})
		if err != nil {
			abort(staged)
		}
	}
	var source *content.SourceError
	switch {
	case err == nil:
		return staged, nil
	case errors.As(err, &source):
		return nil, source.Unwrap()
	case content.Full(err):
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrResourceExhausted)
	}
	return nil, err
}

// Abort forgets it. After Install it does nothing.
func (u *Upload) Abort() {
	for _, p := range u.parts {
		abort(p)
	}
	u.parts = nil
	u.release()
}

// abort forgets what was staged, whatever has ended meanwhile.
func abort(s *content.Staged) { s.Abort(context.Background()) }
