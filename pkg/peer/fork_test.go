package peer

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// flood makes n processes that each connect four times and exit at once.
func flood(path string, n int) error {
	runtime.LockOSThread()
	var sa unix.RawSockaddrUnix
	sa.Family = unix.AF_UNIX
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&sa.Path[0])), len(sa.Path)-1), path) // int8 here, uint8 on other architectures
	for range n {
		pid, errno := forkConnectExit(&sa)
		if errno != 0 {
			return errno
		}
		if _, err := retry(func() (int, error) { return unix.Wait4(pid, nil, 0, nil) }); err != nil {
			return err
		}
	}
	return nil
}

// forkConnectExit forks without exec, for thousands of starts of a test binary take minutes. In the child only raw system calls are made.
//
//go:norace
//go:nosplit
func forkConnectExit(sa *unix.RawSockaddrUnix) (int, syscall.Errno) {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return int(pid), errno
	}
	for range 4 {
		fd, _, _ := syscall.RawSyscall(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0)
		_, _, _ = syscall.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(sa)), unsafe.Sizeof(*sa))
	}
	for {
		_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// cloneArgs is struct clone_args of clone3(2).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// forkAs forks a child that has the pid it is given (Linux 5.5) and waits to be killed. EEXIST: somebody has it.
func forkAs(pid int) syscall.Errno {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid := int32(pid)
	var pinner runtime.Pinner // args holds the address as a number
	pinner.Pin(&tid)
	defer pinner.Unpin()
	args := cloneArgs{exitSignal: uint64(unix.SIGCHLD), setTID: uint64(uintptr(unsafe.Pointer(&tid))), setTIDSize: 1}
	return forkAndPause(&args, uintptr(os.Getpid()))
}

//go:norace
//go:nosplit
func forkAndPause(args *cloneArgs, parent uintptr) syscall.Errno {
	pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	if errno != 0 || pid != 0 {
		return errno
	}
	_, _, _ = syscall.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
	// A parent that was killed before that sends no signal any more (prctl(2)).
	if now, _, _ := syscall.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); now != parent {
		_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	for {
		_, _, _ = syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}
