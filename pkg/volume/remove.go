package volume

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
)

// Remove removes a volume and its data. Errors: errdefs.NotFound,
// errdefs.FailedPrecondition when it is held for a container.
func (s *Store) Remove(name string) error { return s.remove(name, false) }

// remove takes the volume's name away first, in one step: from then on it is gone,
// whatever becomes of the rest.
func (s *Store) remove(name string, held bool) error {
	if _, err := s.Get(name); errdefs.IsNotFound(err) {
		return err // what cannot be read can be removed all the same
	}
	gone, done, err := s.takeName(name, held)
	if err != nil {
		return err
	}
	defer done()
	// gofail: var volumeAfterGone struct{}
	if err := RemoveAll(gone); err != nil {
		return fmt.Errorf("cannot remove all data of volume %q, the next start of edged will try again: %w", name, err)
	}
	return nil
}

// takeName renames the volume to what is none. It makes nothing, for which a full disk
// has no room.
func (s *Store) takeName(name string, held bool) (gone string, done func(), err error) {
	gone = filepath.Join(s.dir, goneDir+rand.Text())
	if err = s.rename(name, gone, held); err == nil {
		done = s.doneWith(gone)
		if err = syncDir(s.dir); err != nil {
			done()
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = notFound(name)
	case err != nil && !errdefs.IsFailedPrecondition(err):
		err = fmt.Errorf("cannot remove volume %q: %w", name, classify(err))
	}
	return gone, done, err
}

// rename looks who holds the volume and takes it away in one step for those who Hold.
func (s *Store) rename(name, gone string, held bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user := s.heldBy(name); user != "" && !held {
		return inUse(name, []string{user})
	}
	err := os.Rename(filepath.Join(s.dir, name), gone)
	if err == nil {
		s.busy[filepath.Base(gone)] = true
	}
	return err
}

func inUse(name string, modules []string) error {
	which := "module " + modules[0]
	if len(modules) > 1 {
		which = "modules " + strings.Join(modules, ", ")
	}
	return fmt.Errorf("volume %q is in use by %s: %w", name, which, errdefs.ErrFailedPrecondition)
}

// Forget removes the anonymous volumes of a module that is gone.
func (s *Store) Forget(module string) error {
	return s.removeAll(true, func(v *Volume) bool { return v.Module == module })
}

// Sweep removes what nobody can want any more: anonymous volumes of modules that are
// not among those named, and what a crash left. A module that is being made need not
// be named: what is held for its container stays.
func (s *Store) Sweep(modules []string) error {
	there := make(map[string]bool, len(modules))
	for _, m := range modules {
		there[m] = true
	}
	err := s.removeAll(false, func(v *Volume) bool { return v.Module != "" && !there[v.Module] })
	entries, listErr := os.ReadDir(s.dir)
	if errors.Is(listErr, fs.ErrNotExist) {
		listErr = nil
	}
	errs := []error{err, listErr}
	for _, e := range entries {
		name := e.Name()
		if (strings.HasPrefix(name, newDir) || strings.HasPrefix(name, goneDir)) && !s.isBusy(name) {
			errs = append(errs, RemoveAll(filepath.Join(s.dir, name)))
		}
	}
	return errors.Join(errs...)
}

func (s *Store) isBusy(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy[name]
}

// removeAll passes over what is held, unless held says otherwise. Whether it is, is asked
// in the step that takes it away: somebody may have taken hold since.
func (s *Store) removeAll(held bool, which func(*Volume) bool) error {
	all, err := s.List()
	errs := []error{err}
	for i := range all {
		if which(&all[i]) {
			err := s.remove(all[i].Name, held)
			if !errdefs.IsNotFound(err) && (held || !errdefs.IsFailedPrecondition(err)) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
