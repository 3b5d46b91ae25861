package builds

import (
	"context"
	"time"

	"github.com/edged/edged/pkg/store/sqlite"
)

// large is from how many rows on a write is one, and restAfter how long it is waited
// for the next one.
const (
	large     = 100
	restAfter = 2 * time.Second
)

// patience is how long the log's owner waits for those who use it, and keeps them from
// writing; what it could not do then is tried again after a while.
const (
	patience  = 200 * time.Millisecond
	trimAgain = time.Minute
)

// checkpoint empties the write-ahead log behind those who wrote into it: a thousand rows
// are some ten thousand pages, for which nobody has to wait twice. What the log took of the
// disk goes back when nobody wrote for a while, and at once after a write that failed: that
// may be for want of room. It begins with what an edged that was killed left.
func (s *Store) checkpoint(ctx context.Context) {
	rest := time.NewTimer(restAfter)
	defer rest.Stop()
	for {
		select {
		case <-s.logged:
			// What fails is tried again after the next write, and by SQLite itself at the end.
			_ = sqlite.Checkpoint(ctx, s.log)
			if s.failed.Swap(false) {
				_ = s.trim(ctx)
			}
			rest.Reset(restAfter)
		case <-rest.C:
			if s.large.Swap(false) && s.afterLarge != nil {
				s.afterLarge()
			}
			if s.trim(ctx) != nil {
				rest.Reset(trimAgain)
			}
		case <-ctx.Done():
			return
		}
	}
}

// wrote wakes checkpoint.
func (s *Store) wrote() {
	select {
	case s.logged <- struct{}{}:
	default:
	}
}

// trim makes a large log small.
func (s *Store) trim(ctx context.Context) error {
	if s.size().WAL <= sqlite.LogKept {
		return nil
	}
	return sqlite.Truncate(ctx, s.log)
}
