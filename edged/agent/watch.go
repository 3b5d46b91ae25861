package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// watch tells, through inotify(7), that something in a folder may be another. Events
// that come while nobody looks are one. The channel is never closed; end waits until
// the goroutine is gone.
func watch(folder string) (changes <-chan struct{}, end func(), err error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot watch %s: %w", folder, err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	const events = unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_CLOSE_WRITE | unix.IN_DELETE | unix.IN_ATTRIB | unix.IN_ONLYDIR
	if _, err := unix.InotifyAddWatch(fd, filepath.Clean(folder), events); err != nil {
		_ = f.Close()
		return nil, nil, fmt.Errorf("cannot watch %s: %w", folder, err)
	}
	out := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 64<<10)
		for {
			if _, err := f.Read(buffer); err != nil {
				if !errors.Is(err, fs.ErrClosed) {
					continue // the buffer is large enough for any event, so only a signal can be the cause
				}
				return
			}
			select {
			case out <- struct{}{}:
			default:
			}
		}
	}()
	return out, func() {
		_ = f.Close()
		<-done
	}, nil
}
