package listen

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// modulePerm: a module may run as any user, and no other module sees the folder.
var modulePerm = Perm{Mode: 0o666, GID: -1}

// moduleFolder is one module's folder while Ensure works on it.
type moduleFolder struct {
	dir    int
	path   string
	fdName string
	open   map[string]ModuleListener // by file
}

// ensure gives the listener of file, kept, stored or new, as l says it is called.
func (f moduleFolder) ensure(file string, l ModuleListener, act *Activation) (ModuleListener, error) {
	path := filepath.Join(f.path, file)
	there, err := f.socket(file)
	if err != nil {
		return l, err
	}
	if kept, ok := f.open[file]; ok {
		if serves(kept, there) {
			return kept, nil
		}
		// Its file is gone or another's: nobody can call on it any more.
		kept.Close()
		delete(f.open, file)
	}
	if there != (inode{}) {
		if l.UnixListener = act.takeStored(f.fdName, path, there); l.UnixListener != nil {
			l.Stored = true
		}
	}
	if l.UnixListener != nil {
		if err := setPerm(f.dir, file, modulePerm); err != nil {
			l.Close()
			return l, err
		}
		f.open[file] = l
		return l, nil
	}
	if err := f.remove(file); err != nil {
		return l, err
	}
	if l.UnixListener, err = bindAt(f.dir, path, file, modulePerm); err != nil {
		return l, err
	}
	f.open[file] = l
	return l, nil
}

// drop closes the listener of file, if it is open, and removes the file.
func (f moduleFolder) drop(file string) error {
	if l, ok := f.open[file]; ok {
		l.Close()
		delete(f.open, file)
	}
	return f.remove(file)
}

// socket is the inode of the socket called file, zero when there is none.
func (f moduleFolder) socket(file string) (inode, error) {
	var st unix.Stat_t
	err := unix.Fstatat(f.dir, file, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return inode{}, nil
	}
	if err != nil {
		return inode{}, fmt.Errorf("cannot examine %s: %w", file, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return inode{}, nil
	}
	return inodeOf(&st), nil
}

// remove makes the place of file free. The folder is edged's alone, so whatever
// is there may go, but for a folder with something in it, which only a module
// that breaks its own mount can have made.
func (f moduleFolder) remove(file string) error {
	err := unix.Unlinkat(f.dir, file, 0)
	switch {
	case err == nil || errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EISDIR):
		return removeEmpty(f.dir, file)
	}
	return fmt.Errorf("cannot remove what is in its place: %w", err)
}

// serves tells whether l is open and is the listener of the file there. Where
// the kernel does not say which file a socket has, an open listener of our own
// is believed: nobody but edged changes the folder in the ordinary way.
func serves(l ModuleListener, there inode) bool {
	if there == (inode{}) {
		return false
	}
	var file inode
	var fileErr error
	if err := withFD(l.UnixListener, func(fd int) error {
		file, fileErr = boundFile(fd)
		return nil
	}); err != nil {
		return false
	}
	return fileErr != nil || file == there
}
