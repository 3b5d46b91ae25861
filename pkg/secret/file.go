package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/mountns"
)

// readFile reads a secret's file of the host. Links may lead to it, but not into what
// is edged's own or the runtime's: a manifest could else name the keys of the device.
// Errors are errdefs.InvalidArgument.
func (s *Store) readFile(name string) ([]byte, error) {
	b, err := mountns.In(s.MountNS, func() ([]byte, error) { return s.read(name) })
	if err != nil {
		return nil, fmt.Errorf("cannot read file %s: %w: %w", name, err, errdefs.ErrInvalidArgument)
	}
	return b, nil
}

func (s *Store) read(name string) ([]byte, error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, plain(err)
	}
	for _, dir := range s.Protected {
		if target, err := filepath.EvalSymlinks(dir); err == nil {
			dir = target
		}
		if real == dir || strings.HasPrefix(real, dir+"/") {
			return nil, fmt.Errorf("it is in %s, which is not for modules", dir)
		}
	}
	f, err := openReal(real)
	if err != nil {
		return nil, plain(err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, plain(err)
	case !st.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case st.Size() > MaxSize:
		return nil, fmt.Errorf("it is larger than %d bytes", MaxSize)
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	switch {
	case err != nil:
		return nil, plain(err)
	case len(b) == 0 || len(b) > MaxSize:
		return nil, fmt.Errorf("it is empty, or larger than %d bytes", MaxSize)
	}
	return b, nil
}

// openReal opens a path that has no links any more, and refuses one that got some since
// it was judged (openat2(2), Linux 5.6; before that the last part alone is held to it).
// Nothing that opens waits: a pipe would for ever.
func openReal(name string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK
	fd, err := unix.Openat2(unix.AT_FDCWD, name, &unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // EPERM is a filter's that does not know the call
		fd, err = unix.Open(name, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// plain is an error without the path, which the caller names already.
func plain(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
