package backup

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/file"
)

// add puts a file or a folder and all below into an archive; one that is not there is left
// out. Where it lies may be a link, if the operator has it on another disk. Below, modules
// write while this reads: each folder is entered from the one above, so that none of them
// leads elsewhere by putting a link in its place.
func add(t *tar.Writer, from, to string) error {
	from, err := filepath.EvalSymlinks(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	above, err := os.Open(filepath.Dir(from))
	if err != nil {
		return err
	}
	defer above.Close()
	return addEntry(t, above, filepath.Base(from), to)
}

// addEntry puts what a folder has under a name into the archive. Sockets, pipes and devices
// stay out: they mean nothing on another day.
func addEntry(t *tar.Writer, folder *os.File, name, to string) error {
	path := filepath.Join(folder.Name(), name)
	handle, err := openAt(folder, name, path, unix.O_PATH)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it went meanwhile
	}
	if err != nil {
		return err
	}
	defer handle.Close()
	st, err := handle.Stat()
	if err != nil {
		return err
	}
	switch st.Mode().Type() {
	case 0:
		return addFile(t, handle, to)
	case fs.ModeDir:
		return addFolder(t, handle, st, to)
	case fs.ModeSymlink:
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(int(handle.Fd()), "", target)
		if err != nil {
			return &fs.PathError{Op: "readlink", Path: path, Err: err}
		}
		return writeHeader(t, st, string(target[:n]), to)
	}
	return nil
}

func addFolder(t *tar.Writer, handle *os.File, st fs.FileInfo, to string) error {
	folder, err := openAt(handle, ".", handle.Name(), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := writeHeader(t, st, "", to+"/"); err != nil {
		return err
	}
	for {
		names, err := folder.Readdirnames(1000)
		for _, name := range names {
			if err := addEntry(t, folder, name, to+"/"+name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// addFile puts a file into the archive. One that grows is cut where it was; one that shrinks
// is an error.
func addFile(t *tar.Writer, handle *os.File, to string) error {
	f, err := file.Reopen(handle)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := writeHeader(t, st, "", to); err != nil {
		return err
	}
	if _, err := io.CopyN(t, f, st.Size()); err != nil {
		return fmt.Errorf("%s changed while it was read: %w", handle.Name(), err)
	}
	return nil
}

func writeHeader(t *tar.Writer, st fs.FileInfo, link, name string) error {
	h, err := tar.FileInfoHeader(st, link)
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname, h.Format = name, "", "", tar.FormatPAX
	return t.WriteHeader(h)
}

// openAt opens what lies in a folder, through no link.
func openAt(folder *os.File, name, path string, flags int) (*os.File, error) {
	fd, err := unix.Openat(int(folder.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
