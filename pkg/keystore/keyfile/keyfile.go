// Package keyfile reads and writes files that hold keys, in a folder that its owner
// alone may enter.
//
// A file that others could read is mended and warned of: the key may be known by
// now, but a device in the field that refuses to start helps nobody. What another
// user owns, or could have written, is refused: the key may be that user's.
package keyfile

import (
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

// maxSize is more than any key file has.
const maxSize = 64 << 10

// unfinished begins the name of a file that is being written.
const unfinished = ".new-"

// Folder is an open folder of key files.
type Folder struct {
	path string
	dir  *os.File
	warn func(format string, args ...any)
}

// Open opens a folder and removes what a power cut left half written; with create it
// is made where it is not there. warn is told of what had to be mended. Errors:
// errdefs.NotFound; errdefs.FailedPrecondition where another user has a hand in it.
func Open(path string, create bool, warn func(format string, args ...any)) (*Folder, error) {
	if create {
		if err := makeFolder(path); err != nil {
			return nil, fmt.Errorf("cannot make key folder: %w", err)
		}
	}
	dir, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key folder %s is not there: %w", path, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open key folder: %w", err)
	}
	f := &Folder{path: path, dir: dir, warn: warn}
	if err := f.protect(dir, path, 0o700); err != nil {
		_ = dir.Close()
		return nil, err
	}
	return f, f.removeUnfinished()
}

// makeFolder makes the folder so that a power cut does not take it back.
func makeFolder(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// protect holds what is open to be the caller's own, and takes it from others.
func (f *Folder) protect(open *os.File, path string, mode fs.FileMode) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(open.Fd()), &st); err != nil {
		return fmt.Errorf("cannot look at %s: %w", path, err)
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("cannot use %s: it belongs to user %d, who could put other keys there; make sure they are yours and chown it: %w",
			path, st.Uid, errdefs.ErrFailedPrecondition)
	}
	have := fs.FileMode(st.Mode & 0o777)
	if have&0o022 != 0 {
		return fmt.Errorf("cannot use %s: others may write there (mode %04o), and could have put other keys there; make sure they are yours and chmod it to %04o: %w",
			path, have, mode, errdefs.ErrFailedPrecondition)
	}
	if have&^mode == 0 {
		return nil
	}
	if err := open.Chmod(have & mode); err != nil {
		return fmt.Errorf("cannot take %s from others: %w", path, err)
	}
	f.warn("%s could be read by others (mode %04o): it is taken from them, but somebody may know the keys", path, have)
	return nil
}

func (f *Folder) removeUnfinished() error {
	names, err := f.dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("cannot read key folder: %w", err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, unfinished) {
			if err := unix.Unlinkat(f.fd(), name, 0); err != nil {
				return fmt.Errorf("cannot remove %s: %w", f.Path(name), err)
			}
		}
	}
	return nil
}

func (f *Folder) fd() int { return int(f.dir.Fd()) }

// Path is the path of a file.
func (f *Folder) Path(name string) string { return filepath.Join(f.path, name) }

// Read returns a file's bytes; the caller clears them. A link is not followed.
// Errors: errdefs.NotFound, errdefs.FailedPrecondition as for Open.
func (f *Folder) Read(name string) ([]byte, error) {
	// O_NONBLOCK: a named pipe in its place must not hold up the start.
	fd, err := unix.Openat(f.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	path := f.Path(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there: %w", path, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	if st, err := file.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot read %s: it is not a file: %w", path, errdefs.ErrFailedPrecondition)
	}
	if err := f.protect(file, path, 0o600); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err == nil && len(data) > maxSize {
		err = fmt.Errorf("it has more than %d bytes: %w", maxSize, errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return data, nil
}

// Create writes a file, mode 0600, so that a power cut leaves all of it or nothing.
// One that is there is never replaced: errdefs.AlreadyExists.
func (f *Folder) Create(name string, data []byte) error {
	if err := f.create(name, data); err != nil {
		return fmt.Errorf("cannot write %s: %w", f.Path(name), err)
	}
	return nil
}

func (f *Folder) create(name string, data []byte) error {
	temp := unfinished + name
	fd, err := unix.Openat(f.fd(), temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Unlinkat(f.fd(), temp, 0) }()
	file := os.NewFile(uintptr(fd), temp)
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	err = unix.Renameat2(f.fd(), temp, f.fd(), name, unix.RENAME_NOREPLACE)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("it is there already: %w", errdefs.ErrAlreadyExists)
	}
	return errors.Join(err, f.dir.Sync())
}

// Close closes the folder.
func (f *Folder) Close() error { return f.dir.Close() }
