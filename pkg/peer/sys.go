package peer

import (
	"errors"
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sys is the seam to the kernel: what edged asks it about a peer, one field a question. Tests replace fields to meet errnos that this kernel does not give.
// Errors are bare unix.Errno values.
type sys struct {
	peerCred   func(fd int) (unix.Ucred, error)                     // SO_PEERCRED
	peerPIDFD  func(fd int) (int, error)                            // SO_PEERPIDFD
	peerGroups func(fd int) ([]uint32, error)                       // SO_PEERGROUPS
	sockNetNS  func(fd int) (uint64, error)                         // SIOCGSKNS: inode of the namespace the client's socket was made in
	pidfdOpen  func(pid int) (int, error)                           // pidfd_open(2)
	exited     func(pidfd int) (bool, error)                        // poll(2): readable
	openat     func(dirfd int, name string, flags int) (int, error) // openat(2)
	pread      func(fd int, b []byte) (int, error)                  // pread(2) at 0
	nsInode    func(dirfd int, link string) (uint64, error)         // inode of the namespace a /proc/<pid>/ns link names
	close      func(fd int)
}

// realSys asks the running kernel.
func realSys() sys {
	return sys{
		peerCred:   peerCred,
		peerPIDFD:  peerPIDFD,
		peerGroups: peerGroups,
		sockNetNS:  sockNetNS,
		pidfdOpen:  func(pid int) (int, error) { return unix.PidfdOpen(pid, 0) },
		exited:     exited,
		openat: func(dirfd int, name string, flags int) (int, error) {
			return retry(func() (int, error) { return unix.Openat(dirfd, name, flags|unix.O_CLOEXEC, 0) })
		},
		pread: func(fd int, b []byte) (int, error) {
			return retry(func() (int, error) { return unix.Pread(fd, b, 0) })
		},
		nsInode: nsInode,
		close:   func(fd int) { _ = unix.Close(fd) },
	}
}

func peerCred(fd int) (unix.Ucred, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return unix.Ucred{}, err
	}
	return *cred, nil
}

// peerPIDFD returns a descriptor that the kernel made close-on-exec. That it does is no sign that the process lives: since Linux 6.16 it also does for
// one that was reaped.
func peerPIDFD(fd int) (int, error) {
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
}

// peerGroups asks with room for as many groups as most processes have, and again with what the kernel says (ERANGE) when that is not enough.
func peerGroups(fd int) ([]uint32, error) {
	var few [32]uint32
	groups := few[:]
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && int(size) > len(groups)*4:
			groups = make([]uint32, size/4)
		case errno != 0:
			return nil, errno
		case size == 0:
			return nil, nil
		default:
			return append([]uint32(nil), groups[:size/4]...), nil
		}
	}
}

func sockNetNS(fd int) (uint64, error) {
	ns, err := unix.IoctlRetInt(fd, unix.SIOCGSKNS)
	if err != nil {
		return 0, err
	}
	defer unix.Close(ns) //nolint:errcheck // nothing was written
	var st unix.Stat_t
	if err := unix.Fstat(ns, &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}

// exited polls a pidfd without waiting: it becomes readable when the last thread ends (pidfd_open(2)).
func exited(pidfd int) (bool, error) {
	fds := [1]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := retry(func() (int, error) { return unix.Poll(fds[:], 0) })
	if err != nil {
		return false, err
	}
	if fds[0].Revents&unix.POLLNVAL != 0 {
		return false, unix.EBADF
	}
	return n > 0, nil
}

// nsInode reads the link, "pid:[4026531836]" (namespaces(7)). Following it, as stat(2) does, tells the same and makes the kernel build an inode each time.
func nsInode(dirfd int, link string) (uint64, error) {
	var text [64]byte
	n, err := unix.Readlinkat(dirfd, link, text[:])
	if err != nil {
		return 0, err
	}
	return parseNSLink(text[:n])
}

// retry repeats a call that a signal interrupted: Go's runtime sends them to preempt.
func retry(call func() (int, error)) (int, error) {
	for range math.MaxInt {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
	return -1, unix.EINTR
}

func asErrno(err error) (unix.Errno, bool) {
	var errno unix.Errno
	ok := errors.As(err, &errno)
	return errno, ok
}
