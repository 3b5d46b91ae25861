package identity

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// byPIDFD and byPID are the kinds of edged_peer_proof.
const (
	byPIDFD = "pidfd"
	byPID   = "pid"
)

// kernelProof is the best that this kernel has: before Linux 6.5 it is byPID, and the real daemon has to be as ForcePIDProof makes it elsewhere.
var kernelProof string

// proofOfKernel asks the kernel, and not edged.
func proofOfKernel() (string, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	fd, err := unix.GetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if errors.Is(err, unix.ENOPROTOOPT) {
		return byPID, nil
	}
	if err != nil {
		return "", err
	}
	return byPIDFD, unix.Close(fd)
}

// leftOut is what a daemon has to leave out for an attack to show what one defence is worth: where the kernel proves no more than the process id, the rules
// of the fallback stand before that defence, unless the attack is on them.
func leftOut(weaknesses string) string {
	if weaknesses == real || kernelProof == byPIDFD || strings.Contains(weaknesses, "PIDOnly") || strings.Contains(weaknesses, "ForcePIDProof") {
		return weaknesses
	}
	return weaknesses + ",PIDOnly"
}

// onKernel is the one value or the other, by what the kernel proves callers by.
func onKernel[T any](pidfd, pid T) T {
	if kernelProof == byPID {
		return pid
	}
	return pidfd
}
