package volume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Wish is a volume that is to be there.
type Wish struct {
	Name string
	// Module owns it when it is anonymous.
	Module string
	Labels map[string]string
}

// Make makes a volume unless it is there, and says whether it did. fill, which may be
// nil, gives the empty folder its first content; the volume appears, under its name,
// when all of that is on the disk. Errors: errdefs.Unavailable (the disk is full, or
// ctx ended), else fill's or the disk's. Nothing is left of a try that failed.
func (s *Store) Make(ctx context.Context, w Wish, fill func(data string) error) (made bool, err error) {
	done, err := s.alone(ctx, w.Name)
	if err != nil {
		return false, err
	}
	defer done()
	if _, err := s.Get(w.Name); !errdefs.IsNotFound(err) {
		return false, err
	}
	if err := s.make(ctx, w, fill); err != nil {
		return false, fmt.Errorf("cannot make volume %q: %w", w.Name, classify(err))
	}
	return true, nil
}

// alone waits until nobody else makes the volume. Two modules may ask for it at once,
// and the second has to find it filled.
func (s *Store) alone(ctx context.Context, name string) (func(), error) {
	for {
		s.mu.Lock()
		other := s.names[name]
		if other == nil {
			mine := make(chan struct{})
			s.names[name] = mine
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				delete(s.names, name)
				s.mu.Unlock()
				close(mine)
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot wait for volume %q, which another module is filling: %w: %w", name, ctx.Err(), errdefs.ErrUnavailable)
		}
	}
}

func (s *Store) make(ctx context.Context, w Wish, fill func(string) error) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	stage, done, err := s.stage()
	if err != nil {
		return err
	}
	defer done()
	data := filepath.Join(stage, dataDir)
	if err := os.Mkdir(data, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(data, 0o755); err != nil { // whatever umask edged runs under
		return err
	}
	if fill != nil {
		if err := fill(data); err != nil {
			return err
		}
	}
	info, err := json.Marshal(Volume{Module: w.Module, Labels: w.Labels, Created: time.Now().UTC()})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(stage, infoFile), info, 0o600); err != nil {
		return err
	}
	if err := syncAll(stage); err != nil {
		return err
	}
	// Bringing it to the disk cannot be cut short; what took too long is not wanted any more.
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("filling it took too long: %w: %w", err, errdefs.ErrUnavailable)
	}
	// gofail: var volumeAfterCopy struct{}
	if err := os.Rename(stage, filepath.Join(s.dir, w.Name)); err != nil {
		return err
	}
	// gofail: var volumeAfterRename struct{}
	return syncDir(s.dir)
}

// stage makes a folder that is no volume yet, known as this process' own.
func (s *Store) stage() (dir string, done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if dir, err = os.MkdirTemp(s.dir, newDir); err != nil {
		return "", nil, err
	}
	s.busy[filepath.Base(dir)] = true
	return dir, s.doneWith(dir), nil
}

// doneWith removes what is left of a folder without a name.
func (s *Store) doneWith(dir string) func() {
	return func() {
		_ = RemoveAll(dir) // what cannot be removed now is tried again by Sweep
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.busy, filepath.Base(dir))
	}
}

// syncAll brings a whole tree to the disk in one call: names of files, too, which a
// sync of each file does not.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd())))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func classify(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("the disk is full: %w: %w", err, errdefs.ErrUnavailable)
	}
	return err
}
