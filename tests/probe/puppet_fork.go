package main

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// flood makes n processes, one after the other, that each connect to path and exit at once. Nothing is executed in them: 10,000 starts of a program would
// take minutes.
func flood(path string, n int) error {
	runtime.LockOSThread()
	sa := unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	for i := range len(path) {
		sa.Path[i] = int8(path[i]) //nolint:unconvert // uint8 on some architectures
	}
	for range n {
		pid, errno := forkAndConnect(&sa)
		if errno != 0 {
			return errno
		}
		for {
			_, err := unix.Wait4(pid, nil, 0, nil)
			if err == nil {
				break
			}
			if err != unix.EINTR {
				return err
			}
		}
	}
	return nil
}

// forkAndConnect makes only raw system calls in the child, which has one thread of a runtime that counts on several.
//
//go:norace
//go:nosplit
func forkAndConnect(sa *unix.RawSockaddrUnix) (int, syscall.Errno) {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return int(pid), errno
	}
	fd, _, _ := syscall.RawSyscall(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0)
	_, _, _ = syscall.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(sa)), unsafe.Sizeof(*sa))
	for {
		_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// forkIdle makes a child that sleeps until it is killed.
func forkIdle() (int, error) {
	runtime.LockOSThread()
	pid, errno := forkAndSleep()
	if errno != 0 {
		return 0, errno
	}
	return pid, nil
}

//go:norace
//go:nosplit
func forkAndSleep() (int, syscall.Errno) {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return int(pid), errno
	}
	for {
		pause := unix.Timespec{Sec: 3600}
		_, _, _ = syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, uintptr(unsafe.Pointer(&pause)), 0, 0, 0)
	}
}
