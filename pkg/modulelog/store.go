// Package modulelog reads what modules wrote: the last lines, those of a time, and those that come. The format on disk, and
// what writes it, are in its sub-package segment.
//
// A module decides what its lines hold; it may write anything, and as fast as it likes. So every buffer here has a
// bound, no line is believed to be well formed, and a reader that falls behind holds on to a bounded number of segments.
package modulelog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// Store is the folder with the logs of all modules. A daemon has one. It is safe for use by several goroutines.
type Store struct {
	root  string
	watch *watcher
	pool  sync.Pool // of *buffers
}

// NewStore makes a store of a folder, which need not exist yet. Close ends it.
func NewStore(root string) *Store {
	return &Store{
		root:  root,
		watch: newWatcher(),
		pool:  sync.Pool{New: func() any { return newBuffers() }},
	}
}

// Close ends what wakes the followers and waits for it. Followers that are left, which there should not be, look by
// themselves now and then.
func (s *Store) Close() error { return s.watch.close() }

// maxSlug bounds the readable part of a folder's name.
const maxSlug = 40

// Dir is a module's folder. Its name holds what is safe of the module's, for people, and eight digits of its
// SHA-256, for truth: names that differ have folders that differ, whatever their letters are.
func (s *Store) Dir(module string) string { return filepath.Join(s.root, dirName(module)) }

// GenerationDir is the folder of one generation of a module: what the logger is started with.
func (s *Store) GenerationDir(module string, generation int64) string {
	return filepath.Join(s.Dir(module), genName(generation))
}

func dirName(module string) string {
	slug := make([]byte, 0, maxSlug)
	for i := 0; i < len(module) && i < maxSlug; i++ {
		c := module[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.' && i > 0:
		default:
			c = '_'
		}
		slug = append(slug, c)
	}
	sum := sha256.Sum256([]byte(module))
	return string(slug) + "-" + hex.EncodeToString(sum[:4])
}

// Prune removes the logs of a module's generations but those to keep.
func (s *Store) Prune(module string, keep ...int64) error {
	root, err := os.OpenRoot(s.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot open logs: %w", err)
	}
	defer root.Close()
	gens, err := s.generations(module)
	if err != nil {
		return err
	}
	var errs []error
	for _, gen := range gens {
		if slices.Contains(keep, gen) {
			continue
		}
		if err := root.RemoveAll(filepath.Join(dirName(module), genName(gen))); err != nil {
			errs = append(errs, fmt.Errorf("cannot remove logs of module %q, generation %d: %w", module, gen, err))
		}
	}
	return errors.Join(errs...)
}

// Remove removes all logs of a module. A module that has none is no error.
func (s *Store) Remove(module string) error {
	root, err := os.OpenRoot(s.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot open logs: %w", err)
	}
	defer root.Close()
	if err := root.RemoveAll(dirName(module)); err != nil {
		return fmt.Errorf("cannot remove logs of module %q: %w", module, err)
	}
	return nil
}

// LoggerAlive says whether somebody holds the lock of this generation's folder. When the module runs and it is free, the
// logger is gone: what the module writes is lost and kills it, until it is started again.
func (s *Store) LoggerAlive(module string, generation int64) bool {
	dir, err := s.openModule(module)
	if err != nil {
		return false
	}
	defer dir.Close()
	gen, err := openDirAt(dir, genName(generation))
	if err != nil {
		return false
	}
	defer gen.Close()
	return lockHeld(gen)
}

// lockHeld asks by taking the lock for a moment. A logger that starts in that moment tries again.
func lockHeld(gen *os.File) bool {
	fd, err := openat(gen, segment.LockName, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return errors.Is(unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}
