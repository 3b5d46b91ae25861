// Package mountns does things in the mount namespace of the machine, for a process that
// its service manager gave one of its own (mount_namespaces(7)). What is mounted in the
// own one stays there, where containerd and runc never see it; and what protects the
// process there, from files to kernel settings, shall not hold for the programs that make
// networks, nor make a path of the host look other than it is.
//
// It goes one way only: the own namespace is a slave of the machine's, so that what is
// mounted in that comes to it, and goes from it again. Files are the same in both.
package mountns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/network/netns"
)

// Namespace is the machine's mount namespace. nil is the process's own: of a process
// that has none to itself.
type Namespace struct{ file *os.File }

// Open opens the namespace of the first process, which is that of the machine and the
// one that containerd's descends from, for a process that a service manager started. It is
// nil for others: such a one has the namespace that it was started in, and a runtime there.
// See Of for folders and errors.
func Open(service bool, folders ...string) (*Namespace, error) {
	if !service {
		return nil, nil
	}
	return Of("/proc/1/ns/mnt", folders...)
}

// Of opens the namespace that path is (namespaces(7)), nil when the process is in it.
// Errors: errdefs.FailedPrecondition when one of the folders, which need not be there yet,
// is or would be another one here than there, or cannot be written to only here.
func Of(path string, folders ...string) (*Namespace, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the machine's mount namespace: %w", err)
	}
	n := &Namespace{file}
	apart, err := n.isApart()
	if err == nil && apart {
		if err = n.shares(folders); err == nil {
			return n, nil
		}
	}
	return nil, errors.Join(err, file.Close())
}

// Close closes it; Run fails from then on.
func (n *Namespace) Close() error {
	if n == nil {
		return nil
	}
	return n.file.Close()
}

// Run runs f in the namespace and waits for it. Paths, from f's own goroutine alone, are
// the machine's, and so are they for programs that it starts. A descriptor is good on
// both sides, but not as the source of a mount: it belongs where it was opened. f runs in
// the goroutine of the caller when there is but one namespace, and else in another, whose
// thread ends with it.
func (n *Namespace) Run(f func() error) error {
	if n == nil {
		return f()
	}
	return netns.Thread(func() error {
		// A thread that shares root and working folder with others may not leave (setns(2)).
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("cannot enter the machine's mount namespace: %w", err)
		}
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("cannot enter the machine's mount namespace: %w", err)
		}
		return f()
	})
}

// In is Run for an f with a result.
func In[T any](n *Namespace, f func() (T, error)) (result T, err error) {
	err = n.Run(func() (err error) {
		result, err = f()
		return err
	})
	return result, err
}

// isApart says that the process has a mount namespace of its own.
func (n *Namespace) isApart() (bool, error) {
	own, err := os.Stat("/proc/self/ns/mnt")
	if err != nil {
		return false, fmt.Errorf("cannot read own mount namespace: %w", err)
	}
	its, err := n.file.Stat()
	if err != nil {
		return false, fmt.Errorf("cannot read the machine's mount namespace: %w", err)
	}
	return !os.SameFile(own, its), nil
}

// place is where a folder is, or will be: its nearest folder that exists.
type place struct {
	path     string
	file     os.FileInfo
	readOnly bool
}

func placeOf(folder string) (place, error) {
	path := filepath.Clean(folder)
	for {
		file, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) && path != filepath.Dir(path) {
			path = filepath.Dir(path)
			continue
		}
		if err != nil {
			return place{}, fmt.Errorf("cannot compare mount namespaces: %w", err)
		}
		var fs unix.Statfs_t
		if err := unix.Statfs(path, &fs); err != nil {
			return place{}, fmt.Errorf("cannot compare mount namespaces: %s: %w", path, err)
		}
		return place{path, file, fs.Flags&unix.ST_RDONLY != 0}, nil
	}
}

// shares fails for a folder that the unit's protection reaches. Made here alone, it would
// be empty, and its modules nobody's.
func (n *Namespace) shares(folders []string) error {
	for _, folder := range folders {
		here, err := placeOf(folder)
		if err != nil {
			return err
		}
		there, err := In(n, func() (place, error) { return placeOf(folder) })
		switch {
		case err != nil:
			return err
		case here.path != there.path || !os.SameFile(here.file, there.file):
			return fmt.Errorf("the service manager hides the machine's %s from edged: a drop-in of the unit has to say PrivateTmp=no, or whatever it is that does: %w", folder, errdefs.ErrFailedPrecondition)
		case here.readOnly && !there.readOnly:
			return fmt.Errorf("the service manager does not let edged write to %s: a drop-in of the unit has to name it in ReadWritePaths=, and it has to be there: %w", folder, errdefs.ErrFailedPrecondition)
		}
	}
	return nil
}

// Try mounts something below run to see that it comes here. Were it not so, secrets would
// be written beside what modules are given, and volumes stay empty. Errors:
// errdefs.FailedPrecondition.
func (n *Namespace) Try(run string) error {
	if n == nil {
		return nil
	}
	point := filepath.Join(run, ".mounts")
	unmount := func() error { UnmountAll(point); return nil }
	_ = n.Run(unmount) // what an edged that was killed here has left
	err := os.Mkdir(point, 0o700)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("cannot try a mount: %w", err)
	}
	before, err := os.Lstat(point)
	if err == nil {
		err = n.Run(func() error {
			return unix.Mount("tmpfs", point, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=4k,mode=0700")
		})
	}
	if err != nil {
		return fmt.Errorf("cannot try a mount: %w", err)
	}
	during, err := os.Lstat(point)
	if err == nil && os.SameFile(before, during) {
		err = fmt.Errorf("what is mounted on the machine does not come here: its root is no shared mount (mount --make-rshared /): %w", errdefs.ErrFailedPrecondition)
	}
	return errors.Join(err, n.Run(unmount), os.Remove(point))
}

// UnmountAll lets go of all that is mounted at a place, where the calling thread is. What
// is left of a mount then fails the removal of the folder.
func UnmountAll(point string) {
	for unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) == nil {
		continue
	}
}
