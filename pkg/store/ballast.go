package store

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/store/sqlite"
)

// ballastSize is what a full disk gets back. In write-ahead mode even a DELETE
// needs room, so without it an operator could not free any.
const ballastSize = 8 << 20

// ballast is a file of real blocks beside the database.
type ballast struct {
	path string
	mu   sync.Mutex
	// dropped is when it was given up, or was last tried to be made again, in unix nanoseconds; 0: it is there.
	dropped atomic.Int64
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
	switch {
	case sqlite.IsFull(err) && b.drop():
		b.dropped.Store(time.Now().UnixNano())
		err = fn()
	case err == nil && b.dropped.Load() != 0:
		b.regain()
	}
	return err
}

// regain makes the ballast again, for the next time the disk is full: a while after
// it was given up, and when there is room for more than it.
func (b *ballast) regain() {
	if time.Since(time.Unix(0, b.dropped.Load())) < time.Minute {
		return
	}
	b.dropped.Store(time.Now().UnixNano())
	var fs unix.Statfs_t
	if unix.Statfs(filepath.Dir(b.path), &fs) != nil || fs.Bavail*uint64(fs.Bsize) < 4*ballastSize {
		return
	}
	b.restore()
	if _, err := os.Stat(b.path); err == nil {
		b.dropped.Store(0)
	}
}
