package secret

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// size is the most that all secrets take of the memory.
const size = "size=64m"

// mount makes the file system, unless an earlier edged did: modules have its files.
func (s *Store) mount() error {
	if err := os.Mkdir(s.Dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	there, err := mounted(s.Dir)
	if err != nil || there {
		return err
	}
	err = s.MountNS.Run(func() error {
		const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
		err := unix.Mount("tmpfs", s.Dir, "tmpfs", flags, "mode=0700,"+size+",noswap")
		if errors.Is(err, unix.EINVAL) { // before Linux 6.4
			err = unix.Mount("tmpfs", s.Dir, "tmpfs", flags, "mode=0700,"+size)
		}
		return err
	})
	if err != nil {
		return &os.PathError{Op: "mount", Path: s.Dir, Err: err}
	}
	return nil
}

// mounted says whether dir is the root of a file system of its own, which has to be a tmpfs.
func mounted(dir string) (bool, error) {
	var own, parent unix.Stat_t
	if err := unix.Lstat(dir, &own); err != nil {
		return false, &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if err := unix.Lstat(filepath.Dir(dir), &parent); err != nil {
		return false, &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if own.Mode&unix.S_IFMT != unix.S_IFDIR {
		return false, fmt.Errorf("%s is not a folder", dir)
	}
	if own.Dev == parent.Dev {
		return false, nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if st.Type != unix.TMPFS_MAGIC {
		return false, fmt.Errorf("something that is no tmpfs is mounted on %s", dir)
	}
	return true, nil
}
