package volume

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Flags of FS_IOC_SETFLAGS that keep root from removing a file, ioctl_iflags(2). The
// numbers are part of the kernel's interface; x/sys has no names for them.
const (
	flagImmutable  = 0x10
	flagAppendOnly = 0x20
)

// RemoveAll removes a folder and what is in it, also when a module with
// CAP_LINUX_IMMUTABLE has made files immutable or append-only. A path that is not there
// is success.
func RemoveAll(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	if err := clearFlags(unix.AT_FDCWD, path); err != nil {
		return fmt.Errorf("cannot make %s removable: %w", path, err)
	}
	return os.RemoveAll(path)
}

// clearFlags takes the flags from a folder or file and from all below it. It follows no
// link and opens nothing but folders and regular files: who made them is not to be trusted.
func clearFlags(at int, name string) error {
	pinned, err := unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "openat", Path: name, Err: err}
	}
	var st unix.Stat_t
	err = unix.Fstat(pinned, &st)
	kind := st.Mode & unix.S_IFMT
	if err != nil || kind != unix.S_IFDIR && kind != unix.S_IFREG {
		return errors.Join(err, unix.Close(pinned)) // no other kind of file takes them
	}
	// #nosec G304 -- the descriptor that was looked at
	f, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(pinned), os.O_RDONLY|unix.O_NONBLOCK, 0)
	_ = unix.Close(pinned)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := clearOwn(int(f.Fd())); err != nil || kind != unix.S_IFDIR {
		return err
	}
	for {
		names, err := f.Readdirnames(namesAtOnce)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := clearFlags(int(f.Fd()), name); err != nil {
				return err
			}
		}
	}
}

// clearOwn asks before it changes anything: file systems without flags say ENOTTY.
func clearOwn(fd int) error {
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) || err == nil && flags&(flagImmutable|flagAppendOnly) == 0 {
		return nil
	}
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags&^(flagImmutable|flagAppendOnly))
	}
	return os.NewSyscallError("ioctl", err)
}
