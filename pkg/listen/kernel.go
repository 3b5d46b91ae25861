package listen

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// siocUnixFile (SIOCUNIXFILE, linux/un.h, Linux 4.12) opens the file that a
// Unix socket is bound to. The answer follows renames and cannot be forged by
// a path, which getsockname(2) only repeats as it was given to bind(2). The
// kernel asks for CAP_NET_ADMIN.
const siocUnixFile = 0x89e0

// inode names a file for as long as something holds it; a bound socket does.
type inode struct {
	dev, ino uint64
}

// kernel is what Activation asks of the process and the kernel, so that a test
// can stand for both.
type kernel struct {
	pid         func() int
	lookupEnv   func(string) (string, bool)
	unsetEnv    func(string) error
	closeOnExec func(fd int) error
	option      func(fd, option int) (int, error)
	name        func(fd int) (string, error)
	file        func(fd int) (inode, error)
	// listener takes fd over; nothing of it stays open on an error.
	listener func(fd int, name string) (*net.UnixListener, error)
	close    func(fd int)
}

// host is the real kernel and process.
func host() kernel {
	return kernel{
		pid:       os.Getpid,
		lookupEnv: os.LookupEnv,
		unsetEnv:  os.Unsetenv,
		// It also tells whether the descriptor is open at all.
		closeOnExec: func(fd int) error {
			_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
			return err
		},
		option: func(fd, option int) (int, error) {
			return unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		},
		name:     socketName,
		file:     boundFile,
		listener: takeListener,
		close:    func(fd int) { unix.Close(fd) },
	}
}

// socketName is the path that fd was bound to, as the binder wrote it.
func socketName(fd int) (string, error) {
	address, err := unix.Getsockname(fd)
	if err != nil {
		return "", err
	}
	u, ok := address.(*unix.SockaddrUnix)
	if !ok {
		return "", unix.EAFNOSUPPORT
	}
	return u.Name, nil
}

// boundFile is the file that the socket fd is bound to, wherever it is now.
func boundFile(fd int) (inode, error) {
	file, err := unix.IoctlRetInt(fd, siocUnixFile)
	if err != nil {
		return inode{}, err
	}
	defer unix.Close(file)
	var st unix.Stat_t
	if err := unix.Fstat(file, &st); err != nil {
		return inode{}, err
	}
	return inodeOf(&st), nil
}

func inodeOf(st *unix.Stat_t) inode {
	// The width of both fields differs between architectures.
	return inode{dev: uint64(st.Dev), ino: uint64(st.Ino)} //nolint:unconvert // see above
}

// takeListener makes a net.UnixListener of fd and closes fd. The listener does
// not unlink its path when it is closed.
func takeListener(fd int, name string) (*net.UnixListener, error) {
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return nil, fmt.Errorf("it is a %s listener", l.Addr().Network())
	}
	return u, nil
}

// withFD calls use with the descriptor of l; it fails when l is closed.
func withFD(l *net.UnixListener, use func(fd int) error) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var used error
	if err := raw.Control(func(fd uintptr) { used = use(int(fd)) }); err != nil {
		return err
	}
	return used
}
