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
// one that containerd's descends from. It is nil for a process that the first one did not
// start, as a service manager does: such a one has the namespace that it was started in.
// See Of for run and errors.
func Open(run string) (*Namespace, error) {
	if os.Getppid() != 1 {
		return nil, nil
	}
	return Of("/proc/1/ns/mnt", run)
}

// Of opens the namespace that path is (namespaces(7)). It is nil when the process is in
// it, and when run is not the same folder there: then the process has files of its own,
// too, and a runtime among them. It mounts something below run to see that it comes here.
// Errors: errdefs.FailedPrecondition when it does not.
func Of(path, run string) (*Namespace, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the machine's mount namespace: %w", err)
	}
	n := &Namespace{file}
	apart, err := n.isApart(run)
	if err == nil && apart {
		if err = n.comesHere(filepath.Join(run, ".mounts")); err == nil {
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

// isApart says that the process has a mount namespace of its own in which run is the
// machine's run.
func (n *Namespace) isApart(run string) (bool, error) {
	own, err := os.Stat("/proc/self/ns/mnt")
	if err != nil {
		return false, fmt.Errorf("cannot read own mount namespace: %w", err)
	}
	its, err := n.file.Stat()
	if err != nil {
		return false, fmt.Errorf("cannot read the machine's mount namespace: %w", err)
	}
	if os.SameFile(own, its) {
		return false, nil
	}
	here, err := os.Stat(run)
	if err != nil {
		return false, fmt.Errorf("cannot compare mount namespaces: %w", err)
	}
	there, err := In(n, func() (os.FileInfo, error) { return os.Stat(run) })
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(here, there), err
}

// comesHere mounts a tmpfs in the machine's namespace and looks whether it is here, too.
// Were it not, secrets would be written beside what modules are given, and volumes stay
// empty.
func (n *Namespace) comesHere(point string) error {
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
	undone := n.Run(func() error { return unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) })
	return errors.Join(err, undone, os.Remove(point))
}
