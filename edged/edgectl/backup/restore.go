package backup

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/file"
)

// Lock keeps edged from running on a home until release is called;
// errdefs.FailedPrecondition while it runs.
func Lock(home string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(home, "edged.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock home: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("edged runs on %s; stop it first (systemctl stop edged.service edged.mgmt.socket edged.workload.socket): %w", home, errdefs.ErrFailedPrecondition)
	}
	return func() { _ = f.Close() }, nil
}

// Restored says what was done.
type Restored struct {
	Info Info
	// Aside is the folder with what was there before.
	Aside string
}

// Schemas are the newest that the installed edged knows, of its database and the catalog's.
type Schemas struct{ Database, Catalog int64 }

// Target is where an archive is brought back to.
type Target struct {
	Home string
	// Config, when not empty, is the folder to which the configuration is brought back, too.
	Config string
	// Schemas are the newest that the installed edged knows.
	Schemas Schemas
	// Group is the id of the group edged on this device, which may be another than where the
	// archive was made; -1 without one.
	Group int
	// Stamp names the folder that what was there before is kept in.
	Stamp string
}

// Restore brings an archive back. A newer database than edged knows is refused,
// errdefs.FailedPrecondition. All is unpacked beside before anything is replaced. The
// caller holds the Lock.
func Restore(r io.Reader, to Target) (done Restored, err error) {
	home, config := to.Home, to.Config
	a, err := open(r)
	if err != nil {
		return done, err
	}
	for _, s := range []struct{ has, known int64 }{{a.info.Schema, to.Schemas.Database}, {a.info.CatalogSchema, to.Schemas.Catalog}} {
		if s.has > s.known {
			return done, fmt.Errorf("cannot restore: the backup is of edged %s with schema %d, the edged here knows up to %d; install the newer edged first: %w", a.info.Version, s.has, s.known, errdefs.ErrFailedPrecondition)
		}
	}
	staged, err := os.MkdirTemp(home, ".restore-*")
	if err != nil {
		return done, fmt.Errorf("cannot restore: %w", err)
	}
	defer os.RemoveAll(staged) //nolint:errcheck // what is left of it harms nobody
	if err := unpack(a.tar, staged, to.Group); err != nil {
		return done, fmt.Errorf("cannot restore: %w", err)
	}
	if _, err := os.Stat(filepath.Join(staged, "home", "edged.db")); err != nil {
		return done, fmt.Errorf("cannot restore: there is no database in the backup: %w", errdefs.ErrInvalidArgument)
	}
	done = Restored{Info: a.info, Aside: filepath.Join(home, "before-restore-"+to.Stamp)}
	// What belongs to a database goes with it.
	logs := []string{"edged.db-wal", "edged.db-shm"}
	if _, err := os.Stat(filepath.Join(staged, "home", "catalog.db")); err == nil {
		logs = append(logs, "catalog.db-wal", "catalog.db-shm")
	}
	if err := swap(filepath.Join(staged, "home"), home, done.Aside, logs...); err != nil {
		return done, fmt.Errorf("cannot restore: %w", err)
	}
	if config != "" {
		if err := replaceFiles(filepath.Join(staged, "config"), config); err != nil {
			return done, fmt.Errorf("cannot restore the configuration: %w", err)
		}
	}
	return done, nil
}

// unpack writes an archive below a folder and nowhere else. What the agent shares with
// the group edged gets that of this device.
func unpack(t *tar.Reader, folder string, group int) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	var folders []*tar.Header // their modes last: a folder may be closed to writing
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if !allowed(h.Name) {
			return fmt.Errorf("the backup has %q, which does not belong there: %w", h.Name, errdefs.ErrInvalidArgument)
		}
		h.Name = filepath.Clean(h.Name)
		if group >= 0 && strings.HasPrefix(h.Name, "home/agent/") {
			h.Gid = group
		}
		if err := root.MkdirAll(filepath.Dir(h.Name), 0o700); err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(h.Name, 0o700)
			folders = append(folders, h)
		case tar.TypeSymlink:
			if err = root.Symlink(h.Linkname, h.Name); err == nil {
				err = root.Lchown(h.Name, h.Uid, h.Gid)
			}
		case tar.TypeReg:
			err = unpackFile(t, root, h)
		default:
			err = fmt.Errorf("the backup has %q of a kind that does not belong there: %w", h.Name, errdefs.ErrInvalidArgument)
		}
		if err != nil {
			return err
		}
	}
	for i := len(folders) - 1; i >= 0; i-- {
		if err := own(root, folders[i]); err != nil {
			return err
		}
	}
	return nil
}

func unpackFile(t *tar.Reader, root *os.Root, h *tar.Header) error {
	f, err := root.OpenFile(h.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, t, h.Size)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return own(root, h)
}

// own gives a file its owner and then its mode, since chown takes set-id bits away.
func own(root *os.Root, h *tar.Header) error {
	mode := fs.FileMode(h.Mode).Perm() | h.FileInfo().Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)
	return errors.Join(root.Lchown(h.Name, h.Uid, h.Gid), root.Chmod(h.Name, mode), root.Chtimes(h.Name, h.ModTime, h.ModTime))
}

// swap puts what is staged into the home's place, by renames. What fails is taken back.
func swap(staged, home, aside string, also ...string) error {
	entries, err := os.ReadDir(staged)
	if err != nil {
		return err
	}
	if err := os.Mkdir(aside, 0o700); err != nil {
		return err
	}
	names := also
	for _, e := range entries {
		names = append(names, e.Name())
	}
	var undo []func()
	move := func(from, to string) error {
		err := os.Rename(from, to)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			undo = append(undo, func() { _ = os.Rename(to, from) })
		}
		return err
	}
	for _, name := range names {
		if err = move(filepath.Join(home, name), filepath.Join(aside, name)); err != nil {
			break
		}
		if err = move(filepath.Join(staged, name), filepath.Join(home, name)); err != nil {
			break
		}
	}
	if err != nil {
		for i := len(undo) - 1; i >= 0; i-- {
			undo[i]()
		}
		return errors.Join(err, os.RemoveAll(aside))
	}
	return file.SyncFolder(home)
}

// replaceFiles copies the files of one folder, and of those in it, over another.
func replaceFiles(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o750)
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		st, err := entry.Info()
		if err != nil {
			return err
		}
		b, err := file.ReadIn(from, rel, 1<<20)
		if err != nil {
			return err
		}
		return file.Write(target, b, st.Mode().Perm(), -1)
	})
}

// Reset removes what a home holds but for what is kept: the lock, the operator's image
// archives, and keys and volumes where they are asked for. The caller holds the Lock.
func Reset(home string, keep ...string) error {
	entries, err := os.ReadDir(home)
	if err != nil {
		return fmt.Errorf("cannot reset: %w", err)
	}
	kept := map[string]bool{"edged.lock": true, "images": true}
	for _, name := range keep {
		kept[name] = true
	}
	var errs []error
	for _, e := range entries {
		if !kept[e.Name()] {
			errs = append(errs, os.RemoveAll(filepath.Join(home, e.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot reset: %w", err)
	}
	return file.SyncFolder(home)
}
