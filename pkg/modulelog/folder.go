package modulelog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// Folders and segments are opened one below the other by descriptor, never through a symbolic link: nothing that
// somebody puts into the store can make a reader look outside it.

func openat(dir *os.File, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return -1, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

func openDirAt(dir *os.File, name string) (*os.File, error) {
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openModule opens a module's folder. The error is fs.ErrNotExist when it has none.
func (s *Store) openModule(module string) (*os.File, error) {
	fd, err := unix.Open(s.root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: s.root, Err: err}
	}
	root := os.NewFile(uintptr(fd), s.root)
	defer root.Close()
	return openDirAt(root, dirName(module))
}

// generations lists the generations of a module that have a folder, ascending; none when the module has none.
func (s *Store) generations(module string) ([]int64, error) {
	dir, err := s.openModule(module)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open logs of module %q: %w", module, err)
	}
	defer dir.Close()
	gens, err := listNumbers(dir, segment.ParseNumber)
	if err != nil {
		return nil, fmt.Errorf("cannot list logs of module %q: %w", module, err)
	}
	return gens, nil
}

// listNumbers lists the names of an open folder that parse takes, as their numbers, ascending.
func listNumbers(dir *os.File, parse func(string) (int64, bool)) ([]int64, error) {
	if _, err := dir.Seek(0, 0); err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // which it is when the folder itself is removed
		return nil, err
	}
	var numbers []int64
	for _, name := range names {
		if n, ok := parse(name); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// segmentFile is the descriptor of an open segment. It is no os.File: one that was opened without blocking goes to the
// runtime's poller first, which refuses ordinary files.
type segmentFile int

// openSegment opens a segment, which must be an ordinary file, and tells its size in bytes.
func openSegment(gen *os.File, seq int64) (segmentFile, int64, error) {
	name := segment.Name(seq)
	fd, err := openat(gen, name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return -1, 0, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return -1, 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd)
		return -1, 0, &fs.PathError{Op: "open", Path: name, Err: unix.EINVAL}
	}
	return segmentFile(fd), st.Size, nil
}

// ReadAt is io.ReaderAt's.
func (f segmentFile) ReadAt(b []byte, at int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Pread(int(f), b[done:], at+int64(done))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return done, &fs.PathError{Op: "read", Path: "segment", Err: err}
		case n == 0:
			return done, io.EOF
		default:
			done += n
		}
	}
	return done, nil
}

func (f segmentFile) close() { _ = unix.Close(int(f)) }

// removed says whether an open file or folder has no name any more.
func removed(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Nlink == 0
}

func genName(gen int64) string { return strconv.FormatInt(gen, 10) }
