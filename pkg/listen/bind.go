package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// backlog is how many connections wait to be accepted; the kernel cuts it at
// net.core.somaxconn. It holds the clients that come while edged restarts.
const backlog = 4096

// bindAt makes a listening socket called name in the folder that dir is open
// on; path is the same place from the root.
//
// The mode is right from the first moment without touching the umask, which
// belongs to the whole process: on Linux the file takes its mode from the
// socket's own inode, so fchmod(2) before bind(2) makes it 0600 at birth. Only
// then it gets its group and mode, and only then it listens.
func bindAt(dir int, path, name string, perm Perm) (_ *net.UnixListener, err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return nil, fmt.Errorf("cannot set the mode of the new socket: %w", err)
	}
	// The path itself, where it fits, is what getsockname(2) and ss(8) show.
	if len(path) > maxSunPath {
		path = "/proc/self/fd/" + strconv.Itoa(dir) + "/" + name
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, fmt.Errorf("cannot bind: %w", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Unlinkat(dir, name, 0)
		}
	}()
	if err := setPerm(dir, name, perm); err != nil {
		return nil, err
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	l, err := takeListener(fd, name)
	if err != nil {
		fd = -1 // takeListener closed it
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	return l, nil
}

// setPerm gives the socket called name its group and mode. The file is pinned
// first: in a folder that others may write to, a link put in its place would
// else have its target opened up.
func setPerm(dir int, name string, perm Perm) error {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot find the new socket: %w", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("cannot examine the new socket: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errors.New("cannot set the mode of the new socket: something else took its place")
	}
	if perm.GID >= 0 && uint32(perm.GID) != st.Gid {
		if err := unix.Fchownat(fd, "", -1, perm.GID, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("cannot give the socket to group %d: %w", perm.GID, err)
		}
	}
	// fchmod(2) refuses O_PATH descriptors; chmod(2) on the link in /proc is
	// the documented way, open(2).
	if err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), uint32(perm.Mode.Perm())); err != nil {
		return fmt.Errorf("cannot set the mode of the socket: %w", err)
	}
	return nil
}

// clearWay removes what may be removed from the place of a new socket: a socket
// that nobody serves, an empty folder. Nothing else is touched.
func clearWay(dir int, path, name string) error {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot examine what is in its place: %w", err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		if err := checkStale(path); err != nil {
			return err
		}
		if err := unix.Unlinkat(dir, name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("cannot remove the stale socket in its place: %w", err)
		}
		return nil
	case unix.S_IFDIR:
		return removeEmpty(dir, name)
	case unix.S_IFLNK:
		return errors.New("a symbolic link is in its place: remove it if nobody needs it")
	default:
		return errors.New("a file that is no socket is in its place: remove it if nobody needs it")
	}
}

func removeEmpty(dir int, name string) error {
	err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
	switch {
	case err == nil || errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST):
		return errors.New("a folder that is not empty is in its place: remove it if nobody needs it")
	case errors.Is(err, unix.EBUSY):
		return errors.New("a mount is in its place: unmount it")
	}
	return fmt.Errorf("cannot remove the folder in its place: %w", err)
}

// checkStale is nil when nobody serves the socket at path.
func checkStale(path string) error {
	err := dial(path)
	switch {
	case errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOENT):
		return nil
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EPROTOTYPE):
		// Accepted, or its backlog is full, or it is of another type: alive.
		return errdefs.ErrAlreadyExists.WithMessage("already in use by " + server(path))
	}
	return fmt.Errorf("cannot tell whether the socket in its place is in use: %w", err)
}

// dial connects to the stream socket at path and hangs up. It never waits.
func dial(path string) error {
	_, err := dialPeer(path)
	return err
}

// dialPeer is dial that also says who called listen(2) on the socket.
func dialPeer(path string) (*unix.Ucred, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, err
	}
	return unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
}

// server describes the process that serves the socket, for a person to find it.
func server(path string) string {
	peer, err := dialPeer(path)
	if err != nil || peer.Pid <= 0 {
		return "another process"
	}
	comm, err := os.ReadFile("/proc/" + strconv.Itoa(int(peer.Pid)) + "/comm")
	if err != nil {
		return fmt.Sprintf("process %d", peer.Pid)
	}
	return fmt.Sprintf("process %d (%q)", peer.Pid, strings.TrimSpace(string(comm)))
}
