package builds

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// floor is the room on the disk, in bytes, below which the catalog takes nothing in:
// what modules need of the database comes first.
const floor = 64 << 20

// trimWithin is how long somebody who is about to be refused waits for the log to be cut.
const trimWithin = 5 * time.Second

var errNoRoom = fmt.Errorf("cannot write to the catalog: the disk is nearly full: %w", errdefs.ErrUnavailable)

// Roomy is errdefs.Unavailable when the disk is nearly full, the room aside that the
// write-ahead log can do without.
func (s *Store) Roomy() error {
	err := s.roomy(0)
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), trimWithin)
	defer cancel()
	if s.trim(ctx) == nil {
		err = s.roomy(0)
	}
	return err
}

// roomy says whether the floor stays free when so many bytes more are taken.
func (s *Store) roomy(more int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(s.home, &st); err != nil {
		return fmt.Errorf("cannot measure the disk: %w", err)
	}
	if free := st.Bavail * uint64(st.Bsize); free < uint64(floor+max(more, 0)) { //nolint:gosec,unconvert // the type differs between architectures
		return errNoRoom
	}
	return nil
}

// lookEvery is after how many bytes, about, a transaction looks again whether there is room:
// each statement changes a page or two, and texts have as many as they need.
const (
	lookEvery = 2 << 20
	pageSize  = 4 << 10
)

// room is called before each statement that writes. What SQLITE_FULL would end may have
// filled the disk for all others by then.
func (t *tx) room(args []any) error {
	t.unseen += pageSize
	for _, arg := range args {
		if text, ok := arg.(string); ok {
			t.unseen += len(text)
		}
	}
	if t.unseen < lookEvery {
		return nil
	}
	t.unseen = 0
	var size int64
	if err := t.row(readSize).Scan(&size); err != nil {
		return fmt.Errorf("cannot measure the catalog: %w", err)
	}
	// What is in the log has to fit into the file, too, or the log can never be emptied.
	t.full = t.s.roomy(size - t.s.size().File)
	return t.full
}
