package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/mountns"
)

var _ module.Secrets = (*Store)(nil)

// Config is what a Store needs.
type Config struct {
	Box *Box
	// Dir is the file system's mount point, <run>/secrets.
	Dir string
	// MountNS is where Dir is mounted and files of the host are looked for.
	MountNS *mountns.Namespace
	// Protected are folders of the host whose files are no module's.
	Protected []string
}

// Store makes the files of secrets.
type Store struct {
	Config

	mu     sync.Mutex
	placed map[string]bool // containers whose files are of this process
}

// NewStore makes nothing yet: most devices have no secrets.
func NewStore(cfg Config) *Store { return &Store{Config: cfg, placed: map[string]bool{}} }

// Check opens and reads every secret once, so that a wrong one is refused when the
// module is made and not when it starts.
func (s *Store) Check(name string, secrets []module.Secret) error {
	for i := range secrets {
		b, err := s.open(name, &secrets[i])
		if err != nil {
			return err
		}
		clear(b)
	}
	return nil
}

func (s *Store) open(name string, one *module.Secret) ([]byte, error) {
	var b []byte
	var err error
	if one.Sealed != "" {
		b, err = s.Box.Open(one.Sealed, name)
	} else {
		b, err = s.readFile(one.File)
	}
	if err != nil {
		return nil, fmt.Errorf("invalid settings.secrets[%q]: %w", one.Name, err)
	}
	return b, nil
}

// Mounts has one of each file, so that what the image has beside it stays to be seen.
func (s *Store) Mounts(containerID string, secrets []module.Secret) []module.Mount {
	mounts := make([]module.Mount, 0, len(secrets))
	for i := range secrets {
		mounts = append(mounts, module.Mount{Source: filepath.Join(s.folder(containerID), secrets[i].Name), Destination: secrets[i].Path, ReadOnly: true})
	}
	return mounts
}

func (s *Store) folder(containerID string) string { return filepath.Join(s.Dir, containerID) }

// Place makes the files of one run anew. A secret that is not to be had leaves none.
func (s *Store) Place(containerID, name string, secrets []module.Secret, uid, gid uint32) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mount(); err != nil {
		return fmt.Errorf("cannot make file system of secrets: %w: %w", err, errdefs.ErrUnavailable)
	}
	folder := s.folder(containerID)
	s.placed[containerID] = true
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove(containerID))
		}
	}()
	if err := os.RemoveAll(folder); err != nil {
		return unplaced(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return unplaced(err)
	}
	for i := range secrets {
		one := &secrets[i]
		b, err := s.open(name, one)
		if err != nil {
			return err
		}
		owner, group := uid, gid
		if one.UID != nil {
			owner = *one.UID
		}
		if one.GID != nil {
			group = *one.GID
		}
		err = write(filepath.Join(folder, one.Name), b, fs.FileMode(one.Mode), int(owner), int(group))
		clear(b)
		if err != nil {
			return unplaced(err)
		}
	}
	return nil
}

func unplaced(err error) error {
	return fmt.Errorf("cannot place secrets: %w: %w", err, errdefs.ErrUnavailable)
}

// write makes a file that is its owner's before anything is in it.
func write(name string, b []byte, mode fs.FileMode, uid, gid int) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // #nosec G304 -- in a folder of edged's own, under a name that was checked
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Chown(uid, gid)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	return errors.Join(err, f.Close())
}

// Remove forgets a container's files.
func (s *Store) Remove(containerID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(containerID)
}

func (s *Store) remove(containerID string) error {
	if err := os.RemoveAll(s.folder(containerID)); err != nil {
		return fmt.Errorf("cannot remove secrets: %w", err)
	}
	delete(s.placed, containerID)
	return nil
}

// Keep forgets what an earlier edged left of containers that do not run.
func (s *Store) Keep(containerIDs []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot list secrets: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if id := e.Name(); !s.placed[id] && !slices.Contains(containerIDs, id) {
			errs = append(errs, s.remove(id))
		}
	}
	return errors.Join(errs...)
}
