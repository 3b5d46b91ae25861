package engine

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// pinned is a process that no other can be taken for: a number is free for another
// process as soon as somebody has waited for the first.
type pinned struct {
	pid, fd int
}

// pin pins a process; one that is gone by then, or a kernel without pidfds, pins nothing.
func pin(pid int) pinned {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		fd = -1
	}
	return pinned{pid, fd}
}

func (p pinned) close() {
	if p.fd >= 0 {
		_ = unix.Close(p.fd)
	}
}

// killGroup kills the process and the process group that it leads, if it sees the same
// mounts as the container's first process, and so is the container's. It is stopped
// first, so that its number stays its own until the whole group was signalled; what is
// stopped here is killed here.
func (p pinned) killGroup(first int) {
	if p.fd < 0 || !sameMounts(p.pid, first) || unix.PidfdSendSignal(p.fd, unix.SIGSTOP, nil, 0) != nil {
		return
	}
	// That the signal found it says that what was compared was its own.
	if group, err := unix.Getpgid(p.pid); err == nil && group == p.pid {
		_ = unix.Kill(-p.pid, unix.SIGKILL)
	}
	_ = unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0)
}

func sameMounts(a, b int) bool {
	one, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", a))
	if err != nil {
		return false
	}
	other, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", b))
	return err == nil && one == other
}
