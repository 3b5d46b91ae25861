package modulelog

import (
	"encoding/binary"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// watcher is the one inotify(7) instance of a store, which all followers share: a user has 128 of them. Its watches last for
// one event. A follower that has been woken looks at its pace anyway, and asks again when lines stop coming: so a
// module that writes a thousand lines a second causes no thousand events.
type watcher struct {
	mu     sync.Mutex
	fd     int
	file   *os.File // nil: not made yet
	closed bool
	subs   map[int32][]*subscription // by watch descriptor
	ended  chan struct{}             // closed when the goroutine has returned
}

// subscription is one follower's.
type subscription struct {
	w     *watcher
	woken chan struct{} // holds one
}

const watchMask = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_DELETE_SELF |
	unix.IN_ONESHOT | unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW

func newWatcher() *watcher {
	return &watcher{subs: make(map[int32][]*subscription), ended: make(chan struct{})}
}

func (w *watcher) subscribe() *subscription {
	return &subscription{w: w, woken: make(chan struct{}, 1)}
}

// arm wakes the subscription at the next change in a folder. It is false when that cannot be had.
func (s *subscription) arm(dir string) bool {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || !w.start() {
		return false
	}
	wd, err := unix.InotifyAddWatch(w.fd, dir, watchMask)
	if err != nil {
		return false
	}
	key := int32(wd)
	for _, other := range w.subs[key] {
		if other == s {
			return true
		}
	}
	w.subs[key] = append(w.subs[key], s)
	return true
}

// armMade is arm for a folder that is made if it is not there.
func (s *subscription) armMade(dir string) bool {
	return os.MkdirAll(dir, 0o700) == nil && s.arm(dir)
}

// drain forgets a wake-up.
func (s *subscription) drain() {
	select {
	case <-s.woken:
	default:
	}
}

func (s *subscription) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// close ends the subscription. Watches that nobody else wants are given back.
func (s *subscription) close() {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for wd, subs := range w.subs {
		for i, other := range subs {
			if other != s {
				continue
			}
			subs = append(subs[:i:i], subs[i+1:]...)
			if w.subs[wd] = subs; len(subs) == 0 {
				delete(w.subs, wd)
				if !w.closed {
					_, _ = unix.InotifyRmWatch(w.fd, uint32(wd))
				}
			}
			break
		}
	}
}

// start makes the instance when the first follower comes. The caller holds the lock.
func (w *watcher) start() bool {
	if w.file != nil {
		return true
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return false
	}
	w.fd, w.file = fd, os.NewFile(uintptr(fd), "inotify")
	go w.run()
	return true
}

// close ends the goroutine and waits for it.
func (w *watcher) close() error {
	w.mu.Lock()
	file, closed := w.file, w.closed
	w.closed = true
	w.mu.Unlock()
	if file == nil || closed {
		return nil
	}
	err := file.Close()
	<-w.ended
	return err
}

func (w *watcher) run() {
	defer close(w.ended)
	buf := make([]byte, 4<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			break
		}
		w.dispatch(buf[:n])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.wakeAll()
}

// dispatch wakes those who wait for these events. A watch that has had its event is gone.
func (w *watcher) dispatch(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(b) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(b))
		mask := binary.NativeEndian.Uint32(b[4:])
		name := int(binary.NativeEndian.Uint32(b[12:]))
		b = b[min(len(b), unix.SizeofInotifyEvent+name):]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			w.wakeAll()
			continue
		}
		for _, s := range w.subs[wd] {
			s.wake()
		}
		delete(w.subs, wd)
	}
}

func (w *watcher) wakeAll() {
	for _, subs := range w.subs {
		for _, s := range subs {
			s.wake()
		}
	}
	clear(w.subs)
}
