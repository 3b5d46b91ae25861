package system

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxFile bounds what is read of any file here; a memory.stat has 2 KiB, a mountinfo of a busy host some hundred.
const maxFile = 1 << 20

// errTooLong is for a file that no kernel writes.
var errTooLong = errors.New("file is longer than any kernel writes it")

// Root is where /proc, /sys and /etc are; tests have their own.
type Root string

// read reads a file by the bare calls: these files are never waited for, and there are hundreds a look, for each of
// which os.Open would ask the poller.
func (r Root) read(path string) ([]byte, error) {
	fd, err := unix.Open(filepath.Join(string(r), path), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	b := make([]byte, 0, 4096)
	for {
		n, err := unix.Read(fd, b[len(b):cap(b)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, err
		case n == 0:
			return b, nil
		}
		b = b[:len(b)+n]
		if len(b) > maxFile {
			return nil, errTooLong
		}
		if len(b) == cap(b) {
			b = slices.Grow(b, len(b))
		}
	}
}

// word reads a file with one word; empty when there is none.
func (r Root) word(path string) string {
	b, err := r.read(path)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}

// number reads a file with one number. "max" and what is not there is 0.
func (r Root) number(path string) uint64 {
	n, err := strconv.ParseUint(r.word(path), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// pairs reads a file with lines of a name and a number, as memory.stat and
// /proc/meminfo have them; a colon at the name's end is not part of it.
func (r Root) pairs(path string) map[string]uint64 {
	b, err := r.read(path)
	if err != nil {
		return nil
	}
	m := map[string]uint64{}
	for line := range bytes.Lines(b) {
		words := strings.Fields(string(line))
		if len(words) < 2 {
			continue
		}
		if n, err := strconv.ParseUint(words[1], 10, 64); err == nil {
			m[strings.TrimSuffix(words[0], ":")] = n
		}
	}
	return m
}
