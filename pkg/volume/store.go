package volume

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
)

// Names inside a volume's folder, and of folders that are no volume yet, or none any more.
const (
	dataDir  = "_data"
	infoFile = "volume.json"
	newDir   = ".new-"
	goneDir  = ".gone-"
)

// Volume is what is known of a volume. Sizes are not: finding one out reads the
// whole of it.
type Volume struct {
	Name string `json:"-"`
	// Module owns an anonymous volume, which goes with it; empty for a named one.
	Module  string            `json:"module,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Created time.Time         `json:"created"`
	// Path is the folder with the data.
	Path string `json:"-"`
	// Users are the modules that use it, by name; only a Keeper knows them.
	Users []string `json:"-"`
}

// Store is the folder of all volumes. It may be used by many goroutines at once, and
// by one process.
type Store struct {
	dir string

	mu    sync.Mutex
	busy  map[string]bool          // folders without a name that this process is working on
	holds map[string]hold          // by container
	names map[string]chan struct{} // volumes that are being made; closed when they are
}

// hold is what a container that was made, or is being made, stands on.
type hold struct {
	module string
	names  []string
}

// NewStore returns the store in dir, which is made with the first volume.
func NewStore(dir string) *Store {
	return &Store{dir: dir, busy: map[string]bool{}, holds: map[string]hold{}, names: map[string]chan struct{}{}}
}

// Path is where the data of a volume is, whether it is there or not.
func (s *Store) Path(name string) string { return filepath.Join(s.dir, name, dataDir) }

// Get reads what is known of a volume. A folder that somebody put here, a restored
// backup, is a volume too. The error may be errdefs.NotFound.
func (s *Store) Get(name string) (Volume, error) {
	v := Volume{Name: name, Path: s.Path(name)}
	if !namePattern().MatchString(name) || len(name) > maxName {
		return v, notFound(name)
	}
	info, err := os.Lstat(v.Path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return v, notFound(name)
	}
	if err != nil {
		return v, fmt.Errorf("cannot read volume %q: %w", name, err)
	}
	b, err := os.ReadFile(filepath.Join(s.dir, name, infoFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.Created = info.ModTime().UTC()
		return v, nil
	case err == nil:
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		return v, fmt.Errorf("cannot read what is known of volume %q: %w", name, err)
	}
	return v, nil
}

// List returns all volumes by name. What cannot be read of one hides no other.
func (s *Store) List() ([]Volume, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list volumes: %w", err)
	}
	var all []Volume
	var errs []error
	for _, e := range entries {
		v, err := s.Get(e.Name())
		switch {
		case err == nil:
			all = append(all, v)
		case !errdefs.IsNotFound(err):
			errs = append(errs, err)
		}
	}
	slices.SortFunc(all, func(a, b Volume) int { return cmp.Compare(a.Name, b.Name) })
	return all, errors.Join(errs...)
}

// Hold notes that a container, which is about to be made, uses volumes: from now on
// none of them is removed. It replaces what was held for that container.
func (s *Store) Hold(container, module string, names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(names) == 0 {
		delete(s.holds, container)
		return
	}
	s.holds[container] = hold{module, names}
}

// Release forgets a container.
func (s *Store) Release(container string) { s.Hold(container, "", nil) }

// heldBy is a module for whose container a volume is held, empty without one. s.mu is held.
func (s *Store) heldBy(name string) string {
	for _, h := range s.holds {
		if slices.Contains(h.names, name) {
			return h.module
		}
	}
	return ""
}

func notFound(name string) error {
	return fmt.Errorf("volume %q not found: %w", name, errdefs.ErrNotFound)
}
