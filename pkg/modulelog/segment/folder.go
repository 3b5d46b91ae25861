package segment

import (
	"bytes"
	"errors"
	"slices"
	"syscall"
)

// folder is the generation's folder, held by descriptors: when it is removed, nothing brings it back.
type folder struct {
	fd     int // -1: not open
	lock   int // -1: not open
	locked bool
	err    error // why it is not open
}

// start opens the folder and takes its lock, as far as it is not done yet.
func (d *folder) start(path string) {
	if d.fd < 0 {
		d.fd, d.err = openDir(path)
	}
	if d.fd < 0 || d.locked {
		return
	}
	if d.lock < 0 {
		fd, err := syscall.Openat(d.fd, LockName, syscall.O_RDWR|syscall.O_CREAT|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
		if err != nil {
			return
		}
		d.lock = fd
	}
	d.locked = syscall.Flock(d.lock, syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

func (d *folder) close() {
	for _, fd := range [...]int{d.lock, d.fd} {
		if fd >= 0 {
			_ = syscall.Close(fd)
		}
	}
	*d = folder{fd: -1, lock: -1}
}

// openDir opens the folder, and makes it and what is above it where they are missing.
func openDir(path string) (int, error) {
	if path == "" || path[0] != '/' {
		return -1, syscall.EINVAL
	}
	for i := 1; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			if err := syscall.Mkdir(path[:i], 0o700); err != nil && !errors.Is(err, syscall.EEXIST) && i == len(path) {
				return -1, err
			}
		}
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return fd, nil
}

// list gives the numbers of the segments in the folder, ascending.
func (d *folder) list() ([]int64, error) {
	if _, err := syscall.Seek(d.fd, 0, 0); err != nil {
		return nil, err
	}
	buf := make([]byte, 4<<10)
	var segs []int64
	for {
		n, err := syscall.ReadDirent(d.fd, buf)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			slices.Sort(segs)
			return segs, nil
		}
		_, _, names := syscall.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if seq, ok := ParseName(name); ok {
				segs = append(segs, seq)
			}
		}
	}
}

// open makes sure that there is a segment to write to: the one that the run before left, or a new one.
func (w *Writer) open() bool {
	if w.fd >= 0 {
		return true
	}
	if w.dir.fd < 0 {
		w.Start()
	}
	if w.dir.fd < 0 {
		w.lost.because(w.dir.err)
		return false
	}
	segs, err := w.dir.list()
	if err != nil {
		w.lost.because(err)
		return false
	}
	w.segs = segs
	return w.resume() || w.rotate()
}

// resume goes on in the last segment. It does not when another logger may still be writing to it, or when the clock is
// behind its last line: time never runs backwards within a segment.
func (w *Writer) resume() bool {
	if len(w.segs) == 0 || !w.dir.locked {
		return false
	}
	fd, err := syscall.Openat(w.dir.fd, Name(w.segs[len(w.segs)-1]), syscall.O_RDWR|syscall.O_APPEND|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	var st syscall.Stat_t
	if syscall.Fstat(fd, &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		_ = syscall.Close(fd)
		return false
	}
	tail := make([]byte, min(st.Size, 2*MaxLine))
	if n, err := syscall.Pread(fd, tail, st.Size-int64(len(tail))); err != nil || n != len(tail) {
		_ = syscall.Close(fd)
		return false
	}
	if bytes.Compare(lastStamp(tail), w.headers[0][:StampLen]) > 0 {
		_ = syscall.Close(fd)
		return false
	}
	w.fd, w.size = fd, st.Size
	w.torn = len(tail) > 0 && tail[len(tail)-1] != '\n'
	w.trim()
	return true
}

// lastStamp finds the time stamp of the last line in the end of a segment; nil when no line is there.
func lastStamp(tail []byte) []byte {
	for end := len(tail); end > 0; {
		start := bytes.LastIndexByte(tail[:end], '\n') + 1
		if ValidStamp(tail[start:]) {
			return tail[start : start+StampLen]
		}
		end = start - 1
	}
	return nil
}

// rotate goes on in a new segment. When there is no room for one, the oldest makes it.
func (w *Writer) rotate() bool {
	next := int64(0)
	if len(w.segs) > 0 {
		next = w.segs[len(w.segs)-1] + 1
	}
	const flags = syscall.O_RDWR | syscall.O_APPEND | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	for {
		fd, err := syscall.Openat(w.dir.fd, Name(next), flags, 0o600)
		switch {
		case err == nil:
			if w.fd >= 0 {
				_ = syscall.Close(w.fd)
			}
			w.fd, w.size, w.torn = fd, 0, false
			w.segs = append(w.segs, next)
			w.trim()
			return true
		case errors.Is(err, syscall.EEXIST): // of another logger, which is about to end
			next++
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.ENOSPC) && len(w.segs) > 1:
			w.removeOldest()
		default:
			w.lost.because(err)
			return false
		}
	}
}

func (w *Writer) trim() {
	for len(w.segs) > w.cfg.MaxFile {
		w.removeOldest()
	}
}

func (w *Writer) removeOldest() {
	_ = syscall.Unlinkat(w.dir.fd, Name(w.segs[0]))
	w.segs = w.segs[:copy(w.segs, w.segs[1:])]
}
