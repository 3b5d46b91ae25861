package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// scratchPrefix begins the names of folders of Scratch.
const scratchPrefix = ".backup-"

// Scratch makes a folder of the home for the copy of the database: there it has room, and
// nobody looks. What earlier backups left that were killed is removed first, since the
// environments of modules are in it.
func Scratch(home string) (folder string, remove func(), err error) {
	if err := sweepScratch(home); err != nil {
		return "", nil, err
	}
	for {
		folder, err := os.MkdirTemp(home, scratchPrefix+"*")
		if err != nil {
			return "", nil, fmt.Errorf("cannot back up: %w", err)
		}
		// Who holds the lock lives. Before it is held, another may take the folder for a dead one's.
		lock, err := lockFolder(folder)
		if err == nil && there(folder) {
			return folder, func() { _ = errors.Join(os.RemoveAll(folder), lock.Close()) }, nil
		}
		if err != nil && there(folder) {
			return "", nil, fmt.Errorf("cannot back up: %w", err)
		}
	}
}

// sweepScratch removes folders of which nobody holds the lock.
func sweepScratch(home string) error {
	left, err := filepath.Glob(filepath.Join(home, scratchPrefix+"*"))
	if err != nil {
		return err
	}
	for _, folder := range left {
		lock, err := lockFolder(folder)
		if err != nil {
			continue // it is in use, or has just gone
		}
		if err := errors.Join(os.RemoveAll(folder), lock.Close()); err != nil {
			return fmt.Errorf("cannot remove what is left of a backup: %w", err)
		}
	}
	return nil
}

func lockFolder(folder string) (*os.File, error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
