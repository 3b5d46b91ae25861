package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/mountns"
	"github.com/edged/edged/pkg/network/netns"
)

// A persistent network namespace is a file on which the namespace of a thread is
// bound (network_namespaces(7)); it lives until the mount goes and its last process ends.

// nsThere says whether a namespace is bound on path.
func nsThere(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// makeNS makes a namespace with nothing but a loopback that is up. Folder and file
// are made; a file of an earlier try is taken.
func makeNS(mounts *mountns.Namespace, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return fmt.Errorf("cannot make folder of network namespaces: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY|unix.O_NOFOLLOW, 0o444)
	if err != nil {
		return fmt.Errorf("cannot make network namespace: %w", err)
	}
	_ = f.Close()
	if err := netns.Thread(func() error { return bindNS(mounts, path) }); err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("cannot make network namespace: %w", err)
	}
	return nil
}

func bindNS(mounts *mountns.Namespace, path string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	ns := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
	return mounts.Run(func() error { return unix.Mount(ns, path, "none", unix.MS_BIND, "") })
}

// loopbackUp sets lo up in the thread's namespace (netdevice(7)).
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return setUp(fd, "lo", true)
}

func setUp(fd int, name string, up bool) error {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if up {
		ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	}
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

// removeNS lets a namespace go; one that is not there is no error.
func removeNS(mounts *mountns.Namespace, path string) error {
	return mounts.Run(func() error { return unbindNS(path) })
}

func unbindNS(path string) error {
	for {
		// More than one mount lies there when a crash came between two tries.
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("cannot remove network namespace: %w", err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot remove network namespace: %w", err)
	}
	return nil
}

// removeBridge removes a bridge that has no ports; one that is not there is no error.
func removeBridge(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := setUp(fd, name, false); err != nil {
		if errors.Is(err, unix.ENODEV) {
			return nil
		}
		return fmt.Errorf("cannot set bridge %s down: %w", name, err)
	}
	text, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCBRDELBR, uintptr(unsafe.Pointer(text))); errno != 0 {
		return fmt.Errorf("cannot remove bridge %s: %w", name, errno)
	}
	return nil
}
