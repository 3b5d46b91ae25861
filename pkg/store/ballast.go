package store

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ballastSize is what a full disk gets back. In write-ahead mode even a DELETE
// needs room, so without it an operator could not free any.
const ballastSize = 8 << 20

// ballast is a file of real blocks beside the database.
type ballast struct {
	path string
	mu   sync.Mutex
}

func newBallast(path string) *ballast { return &ballast{path: path} }

// restore makes the file whole again, if there is room; if not, it stays as it is
// and the next start tries.
func (b *ballast) restore() {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, err := os.OpenFile(b.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() >= ballastSize {
		return
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, ballastSize); err != nil {
		_ = os.Remove(b.path)
	}
}

// drop gives the room back; it says whether there was any.
func (b *ballast) drop() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return os.Remove(b.path) == nil
}

// retry runs fn, and once more with the ballast gone when the disk is full.
func (b *ballast) retry(fn func() error) error {
	err := fn()
	if isFull(err) && b.drop() {
		err = fn()
	}
	return err
}

func isFull(err error) bool {
	if errors.Is(err, unix.ENOSPC) {
		return true
	}
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_FULL
}

// classify gives database errors an errdefs class: a full disk is for the
// operator to mend and worth a retry then; the rest is ours.
func classify(err error) error {
	if isFull(err) {
		return fmt.Errorf("the disk is full: %w: %w", err, errdefs.ErrUnavailable)
	}
	return err
}
