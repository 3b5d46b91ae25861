// Package file reads and writes small files whose place others may have a hand in:
// what is no regular file is refused, and what is written is there whole or not at all.
package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// ReadIn reads a file below a folder that somebody else writes to: no link leads out
// of the folder, a pipe holds nobody up, and a file of more than limit bytes is
// refused. Errors: fs.ErrNotExist, errdefs.FailedPrecondition.
func ReadIn(folder, name string, limit int64) ([]byte, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, cannotRead(filepath.Join(folder, name), err)
	}
	defer root.Close()
	f, err := root.OpenFile(name, unix.O_PATH, 0)
	if err != nil {
		return nil, cannotRead(filepath.Join(folder, name), err)
	}
	defer f.Close()
	return read(f, filepath.Join(folder, name), limit)
}

// Read reads a file that the caller names, under the same limits; links are followed.
func Read(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, unix.O_PATH, 0)
	if err != nil {
		return nil, cannotRead(path, err)
	}
	defer f.Close()
	return read(f, path, limit)
}

// Reopen opens for reading what a handle without any access (O_PATH, open(2)) is of, when it is a
// regular file: only to open a device may do something to it, and a module may make devices.
// Nobody is waited for. The error is errdefs.FailedPrecondition for anything else.
func Reopen(handle *os.File) (*os.File, error) {
	st, err := handle.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("it is not a regular file: %w", errdefs.ErrFailedPrecondition)
	}
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", handle.Fd()), os.O_RDONLY|unix.O_NONBLOCK, 0)
}

// cannotRead names the path once.
func cannotRead(path string, err error) error {
	var named *fs.PathError
	if errors.As(err, &named) {
		err = named.Err
	}
	return fmt.Errorf("cannot read %s: %w", path, err)
}

func read(handle *os.File, path string, limit int64) ([]byte, error) {
	f, err := Reopen(handle)
	if err != nil {
		return nil, cannotRead(path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("cannot read %s: it is larger than %d bytes: %w", path, limit, errdefs.ErrFailedPrecondition)
	}
	return b, nil
}

// Write replaces a file at once or not at all, on the disk as well, with this mode and
// group; the owner is the caller. A group of -1 is the caller's. A full disk is
// errdefs.ResourceExhausted.
func Write(path string, content []byte, mode fs.FileMode, gid int) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	// The group before the mode: who is not of it may not read for a moment either.
	_, err = f.Write(content)
	if gid >= 0 {
		err = errors.Join(err, f.Chown(-1, gid))
	}
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = fmt.Errorf("%w: %w", err, errdefs.ErrResourceExhausted)
		}
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return SyncFolder(filepath.Dir(path))
}

// Sweep removes what a Write of this file left that was killed: it may hold a secret. Nobody
// else may be writing the file.
func Sweep(path string) error {
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".[0-9]*"))
	if err != nil {
		return fmt.Errorf("cannot sweep folder: %w", err)
	}
	var errs []error
	for _, name := range left {
		errs = append(errs, os.Remove(name))
	}
	return errors.Join(errs...)
}

// SyncFolder puts the names in a folder on the disk.
func SyncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("cannot sync folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("cannot sync folder: %w", err)
	}
	return nil
}
