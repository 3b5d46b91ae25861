package main

import (
	"errors"
	"syscall"
	"unsafe"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// readSize is as much as a pipe holds, unless somebody has made it bigger (pipe(7)).
const readSize = 64 << 10

// The times of waiting, in nanoseconds.
const (
	quiet   = 1e9  // after so long without output, memory is given back
	soon    = 20e6 // until the folder and its lock are tried for the first time again,
	later   = 1e9  // and for those after the first sooners
	sooners = 50
)

// pollFD is struct pollfd of poll(2).
type pollFD struct {
	fd      int32
	events  int16
	revents int16
}

const pollIn = 0x1

// drain stores both streams until both have ended, or the first alone. One thread waits for both, so that what came first is stored first as
// far as anybody can tell: of two streams that are ready at the same time, nobody can.
func drain(w *segment.Writer, in, out buffer, streams int) {
	fds := [2]pollFD{{fd: stdoutFD, events: pollIn}, {fd: stderrFD, events: pollIn}}
	if streams == 1 {
		fds[1].fd = -1
	}
	used, tries := true, 0
	for fds[0].fd >= 0 || fds[1].fd >= 0 {
		var timeout int64
		switch {
		case !w.Locked() && tries < sooners:
			timeout = soon
		case !w.Locked():
			timeout = later
		case used:
			timeout = quiet
		}
		ready := wait(&fds, timeout)
		if !w.Locked() {
			w.Start()
			tries++
		} else if !ready && used {
			in.release()
			out.release()
			used = false
		}
		for i := range fds {
			if fds[i].fd < 0 || fds[i].revents == 0 {
				continue
			}
			used = true
			n, err := syscall.Read(int(fds[i].fd), in)
			switch {
			case errors.Is(err, syscall.EINTR) || errors.Is(err, syscall.EAGAIN):
			case err != nil || n <= 0:
				fds[i].fd = -1 // poll(2) leaves negative ones out
			default:
				w.Feed(segment.Stream(i+1), in[:n])
			}
		}
	}
}

// wait says whether a stream has something or has ended. It is false after so many nanoseconds (0: it waits for good), and
// after a signal. The syscall is ppoll because newer architectures have no poll.
func wait(fds *[2]pollFD, timeout int64) bool {
	fds[0].revents, fds[1].revents = 0, 0
	var limit *syscall.Timespec
	if timeout > 0 {
		ts := syscall.NsecToTimespec(timeout)
		limit = &ts
	}
	n, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(fds)), uintptr(len(fds)), uintptr(unsafe.Pointer(limit)), 0, 0, 0)
	return errno == 0 && n > 0
}
