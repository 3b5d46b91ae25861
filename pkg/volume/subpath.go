package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// CheckSubpath checks the form of a path inside a volume. The error is errdefs.InvalidArgument.
func CheckSubpath(sub string) error {
	if !filepath.IsLocal(sub) {
		return fmt.Errorf("subpath %q is not a relative path inside the volume: %w", sub, errdefs.ErrInvalidArgument)
	}
	return nil
}

// OpenSubpath pins what a subpath leads to now, as an O_PATH descriptor. The kernel
// follows it, openat2(2) with RESOLVE_BENEATH: neither ".." nor a link, nor one that a
// module puts in its place in between, leads out of the volume. The error is
// errdefs.InvalidArgument when it does, or when nothing is there.
func (s *Store) OpenSubpath(name, sub string) (*os.File, error) {
	if err := CheckSubpath(sub); err != nil {
		return nil, err
	}
	root, err := unix.Open(s.Path(name), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, subpathError(name, sub, err)
	}
	defer unix.Close(root)
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	for range 128 {
		fd, err := unix.Openat2(root, sub, &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), filepath.Join(s.Path(name), sub)), nil
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue // something was renamed meanwhile, and the kernel cannot be sure
		}
		return nil, subpathError(name, sub, err)
	}
	return nil, subpathError(name, sub, unix.EAGAIN)
}

func subpathError(name, sub string, err error) error {
	switch {
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.ELOOP):
		return fmt.Errorf("subpath %q leads out of volume %q: %w", sub, name, errdefs.ErrInvalidArgument)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("subpath %q is not in volume %q: %w", sub, name, errdefs.ErrInvalidArgument)
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("subpaths of volumes need Linux 5.6 (openat2): %w", errdefs.ErrInvalidArgument)
	}
	return fmt.Errorf("cannot open subpath %q of volume %q: %w", sub, name, err)
}
