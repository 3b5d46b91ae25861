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
// errdefs.FailedPrecondition. All is unpacked beside and on the disk before anything is
// replaced; a power cut from then on is what Settle is for. The caller holds the Lock.
func Restore(r io.Reader, to Target) (done Restored, err error) {
	home := to.Home
	if err := settle(home); err != nil {
		return done, err
	}
	a, err := open(r)
	if err != nil {
		return done, err
	}
	for _, s := range []struct{ has, known int64 }{{a.info.Schema, to.Schemas.Database}, {a.info.CatalogSchema, to.Schemas.Catalog}} {
		if s.has > s.known {
			return done, fmt.Errorf("cannot restore: the backup is of edged %s with schema %d, the edged here knows up to %d; install the newer edged first: %w", a.info.Version, s.has, s.known, errdefs.ErrFailedPrecondition)
		}
	}
	staged, err := os.MkdirTemp(home, restorePrefix+"*")
	if err != nil {
		return done, fmt.Errorf("cannot restore: %w", err)
	}
	defer os.RemoveAll(staged) //nolint:errcheck // what is left of it goes with the next Settle
	if err := unpack(a.tar, staged, to.Group); err != nil {
		return done, fmt.Errorf("cannot restore: %w", err)
	}
	if st, err := os.Lstat(filepath.Join(staged, "home", "edged.db")); err != nil || !st.Mode().IsRegular() {
		return done, fmt.Errorf("cannot restore: there is no database in the backup: %w", errdefs.ErrInvalidArgument)
	}
	done = Restored{Info: a.info, Aside: filepath.Join(home, "before-restore-"+to.Stamp)}
	// Out of what is to take the home's place: it goes elsewhere.
	configuration := staged + "-config"
	defer os.RemoveAll(configuration) //nolint:errcheck // as above
	if err := os.Rename(filepath.Join(staged, "config"), configuration); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return done, fmt.Errorf("cannot restore: %w", err)
	}
	if err := swap(staged, home, filepath.Base(done.Aside)); err != nil {
		return done, fmt.Errorf("cannot restore: %w", err)
	}
	if to.Config != "" {
		if err := replaceFiles(configuration, to.Config); err != nil {
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

// floor is what a restore leaves of a disk, or a twentieth of a small one: modules run on
// meanwhile, and a few kilobytes can unpack to anything.
const floor = 64 << 20

// room is errdefs.ResourceExhausted where a file would leave less than that.
func room(folder string, size int64) error {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return err
	}
	block := uint64(s.Bsize) //nolint:gosec,unconvert // positive; 32 bits wide on arm
	if s.Bavail*block < uint64(size)+min(floor, s.Blocks*block/20) {
		return fmt.Errorf("the backup needs more room than there is: %w", errdefs.ErrResourceExhausted)
	}
	return nil
}

func unpackFile(t *tar.Reader, root *os.Root, h *tar.Header) error {
	if err := room(root.Name(), h.Size); err != nil {
		return err
	}
	f, err := root.OpenFile(h.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, t, h.Size)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return own(root, h)
}

// own gives a file its owner and then its mode, since chown takes set-id bits away.
func own(root *os.Root, h *tar.Header) error {
	mode := fs.FileMode(h.Mode).Perm() | h.FileInfo().Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)
	return errors.Join(root.Lchown(h.Name, h.Uid, h.Gid), root.Chmod(h.Name, mode), root.Chtimes(h.Name, h.ModTime, h.ModTime))
}
