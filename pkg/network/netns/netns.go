// Package netns runs functions in network namespaces (network_namespaces(7)). A thread
// that was moved into another one ends with the function, so that it serves nobody else.
package netns

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Thread runs f in a thread of its own, which f may move into any namespace, and waits
// for it.
func Thread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // not unlocked, so the thread ends
		if unix.Gettid() != unix.Getpid() {
			done <- f()
			return
		}
		// The first thread never ends, and /proc/self shows its namespaces as the process's.
		done <- Thread(f)
		runtime.UnlockOSThread()
	}()
	return <-done
}

// Inside runs f in the network namespace that is bound on path. Sockets that f makes
// stay there and may be used by anybody; goroutines that it starts are elsewhere.
func Inside(path string, f func() error) error {
	ns, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot enter network namespace: %w", err)
	}
	defer ns.Close()
	return Thread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("cannot enter network namespace %s: %w", path, err)
		}
		return f()
	})
}
