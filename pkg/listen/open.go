package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Perm is who may connect to a socket: its mode (permission bits only) and its
// group. A negative GID leaves the group of the process.
type Perm struct {
	Mode fs.FileMode
	GID  int
}

// Open gives the listener that a socket setting names. uri is fd://name for a
// socket of act, whose mode and group the service manager has set; else
// unix:///path or a bare absolute path, which is bound with perm.
//
// A missing parent folder is made, mode 0755. In the way of the path may be a
// socket that nobody serves or an empty folder (a container runtime makes one
// where a bind mount's source is missing): they are removed. A live socket is
// errdefs.ErrAlreadyExists; anything else is an error and is left as it is. At
// no moment does the socket allow more than perm. The listener does not
// remove the path when it is closed; the next Open does.
func Open(uri string, act *Activation, perm Perm) (*net.UnixListener, error) {
	address, err := ParseAddress(uri)
	if err != nil {
		return nil, err
	}
	if address.FD != "" {
		l, err := act.Take(address.FD)
		if err != nil {
			return nil, fmt.Errorf("cannot open %s: %w", uri, err)
		}
		return l, nil
	}
	l, err := openPath(address.Path, perm)
	if err != nil {
		return nil, fmt.Errorf("cannot open socket %s: %w", address.Path, err)
	}
	return l, nil
}

func openPath(path string, perm Perm) (*net.UnixListener, error) {
	parent, name := filepath.Split(path)
	if err := makeFolders(filepath.Clean(parent)); err != nil {
		return nil, err
	}
	dir, err := os.OpenFile(parent, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := clearWay(int(dir.Fd()), path, name); err != nil {
		return nil, err
	}
	return bindAt(int(dir.Fd()), path, name, perm)
}

// makeFolders makes path and its missing parents, mode 0755 whatever the umask
// is (a service's is often 0077). Folders that exist are left as they are.
func makeFolders(path string) error {
	err := os.Mkdir(path, 0o755)
	switch {
	case err == nil:
		return os.Chmod(path, 0o755)
	case errors.Is(err, fs.ErrExist):
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := makeFolders(filepath.Dir(path)); err != nil {
		return err
	}
	// Once more only: below a dangling link it fails for ever.
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(path, 0o755)
}
