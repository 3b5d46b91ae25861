package main

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a puppet waits for the other end of a connection.
const patience = 20 * time.Second

func dial(path, bind string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if bind != "" {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: bind})
	}
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == nil {
		limit := unix.NsecToTimeval(int64(patience))
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// dialFirst tries until somebody listens: it is among the first whom a daemon meets that starts.
func dialFirst(path string) (int, error) {
	for end := time.Now().Add(patience); ; {
		fd, err := dial(path, "")
		if err == nil || time.Now().After(end) {
			return fd, err
		}
		time.Sleep(100 * time.Microsecond)
	}
}

type reader int

func (fd reader) Read(b []byte) (int, error) {
	n, err := unix.Read(int(fd), b)
	if n <= 0 && err == nil {
		return 0, io.EOF
	}
	return max(n, 0), err
}

// answer reads one response and, when it says that the connection is closed, waits for that.
func answer(fd int, r *Result) error {
	in := bufio.NewReader(reader(fd))
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	r.Status, r.Text = res.StatusCode, string(body)
	if err == nil && res.Close {
		_, more := in.ReadByte()
		r.Closed = errors.Is(more, io.EOF)
	}
	return err
}

func listen(path string) (int, error) {
	_ = os.Remove(path)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return -1, err
	}
	return fd, unix.Listen(fd, 1)
}

// pass hands a descriptor to whoever listens at path.
func pass(path string, fd int) error {
	to, err := dial(path, "")
	if err != nil {
		return err
	}
	defer unix.Close(to)
	return unix.Sendmsg(to, []byte("x"), unix.UnixRights(fd), nil, 0)
}

// receive takes a descriptor from the next one who connects.
func receive(listener int) (int, error) {
	from, _, err := unix.Accept(listener)
	if err != nil {
		return -1, err
	}
	defer unix.Close(from)
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(from, b, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) == 0 {
		return -1, errors.Join(err, errors.New("no descriptor came"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}

// enterCgroups makes the group path in every hierarchy that the module has, below its own place there, and moves into it. It answers the hierarchies where
// that worked.
func enterCgroups(path string) (string, error) {
	const root = "/sys/fs/cgroup"
	mounts := []string{root}
	if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil { // v1: a mount for each
		entries, err := os.ReadDir(root)
		if err != nil {
			return "", err
		}
		mounts = nil
		for _, e := range entries {
			mount := filepath.Join(root, e.Name())
			// Where runc knows no controller, as "misc", the module has no place, and this is the root of all.
			_, err := os.Stat(filepath.Join(mount, "release_agent"))
			if e.IsDir() && err != nil {
				mounts = append(mounts, mount)
			}
		}
	}
	var entered []string
	var failed error
	for _, m := range mounts {
		group := filepath.Join(m, path)
		err := os.MkdirAll(group, 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("0"), 0)
		}
		if err != nil {
			failed = errors.Join(failed, err) // cpuset takes nobody in before it is set up
			continue
		}
		entered = append(entered, filepath.Base(m))
	}
	if len(entered) == 0 {
		return "", errors.Join(errors.New("no hierarchy to hide in"), failed)
	}
	return strings.Join(entered, " "), nil
}
