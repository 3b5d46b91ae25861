package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// kind is a format of database.
type kind string

const (
	kindDpkg kind = "dpkg"
	kindAPK  kind = "apk"
	kindRPM  kind = "rpm"
)

// Bounds of what is opened: bytes of one database, and files of a folder of them.
const (
	maxText  = 64 << 20
	maxRPMDB = 512 << 20
	maxFiles = 4096
)

// places are where the databases are. Of the places of one kind the first that is there
// counts, but for those that are a folder of files: images without a package manager
// have the descriptions of their packages there.
var places = []struct {
	kind   kind
	path   string
	max    int64
	folder bool
}{
	{kindDpkg, "var/lib/dpkg/status", maxText, false},
	{kindDpkg, "var/lib/dpkg/status.d", maxText, true},
	{kindAPK, "lib/apk/db/installed", maxText, false},
	{kindAPK, "usr/lib/apk/db/installed", maxText, false},
	{kindRPM, "usr/lib/sysimage/rpm/rpmdb.sqlite", maxRPMDB, false},
	{kindRPM, "usr/lib/sysimage/rpm/Packages.db", maxRPMDB, false},
	{kindRPM, "usr/lib/sysimage/rpm/Packages", maxRPMDB, false},
	{kindRPM, "var/lib/rpm/rpmdb.sqlite", maxRPMDB, false},
	{kindRPM, "var/lib/rpm/Packages.db", maxRPMDB, false},
	{kindRPM, "var/lib/rpm/Packages", maxRPMDB, false},
	{kindRPM, "usr/share/rpm/rpmdb.sqlite", maxRPMDB, false},
}

// database is an open file of one.
type database struct {
	kind kind
	file *os.File
}

// open opens the databases of a root file system, which has to be mounted where nobody
// changes it. The error is errdefs.InvalidArgument when one is not what it should be.
func open(root string) (all []database, err error) {
	defer func() {
		if err != nil {
			closeAll(all)
			all = nil
		}
	}()
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the image's root: %w", err)
	}
	defer unix.Close(dir)
	found := map[kind]bool{}
	for _, p := range places {
		if found[p.kind] && !p.folder {
			continue
		}
		names := []string{p.path}
		if p.folder {
			if names, err = list(dir, p.path); err != nil {
				return all, err
			}
		}
		for _, name := range names {
			f, err := openFile(dir, name, p.max)
			if err != nil {
				return all, err
			}
			if f != nil {
				found[p.kind] = true
				all = append(all, database{p.kind, f})
			}
		}
	}
	return all, nil
}

func closeAll(all []database) {
	for _, d := range all {
		_ = d.file.Close()
	}
}

// inRoot opens a path below a folder as if that were the root of all: links, absolute
// ones too, lead nowhere else. Nothing is opened that is not there: -1.
func inRoot(dir int, path string, flags int) (int, error) {
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}) //nolint:gosec // flags are small
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return -1, nil
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		return -1, fmt.Errorf("/%s in the image is a link that leads nowhere: %w", path, errdefs.ErrInvalidArgument)
	case err != nil:
		return -1, fmt.Errorf("cannot find /%s in the image: %w", path, err)
	}
	return fd, nil
}

// openFile looks at a file before it opens it: opening a FIFO waits for ever.
func openFile(dir int, path string, limit int64) (*os.File, error) {
	fd, err := inRoot(dir, path, unix.O_PATH)
	if err != nil || fd < 0 {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("cannot look at /%s in the image: %w", path, err)
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR && path == "var/lib/rpm/Packages":
		return nil, nil
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, fmt.Errorf("/%s in the image is not a regular file: %w", path, errdefs.ErrInvalidArgument)
	case st.Size == 0:
		return nil, nil
	case st.Size > limit:
		return nil, fmt.Errorf("/%s in the image is larger than %d bytes: %w", path, limit, errdefs.ErrInvalidArgument)
	}
	f, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(fd), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open /%s in the image: %w", path, err)
	}
	return f, nil
}

// list returns the paths of the files in a folder that describe packages.
func list(dir int, path string) ([]string, error) {
	fd, err := inRoot(dir, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK)
	if err != nil || fd < 0 {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	var paths []string
	for {
		names, err := f.Readdirnames(256)
		for _, name := range names {
			if !strings.HasSuffix(name, ".md5sums") {
				paths = append(paths, path+"/"+name)
			}
		}
		if len(paths) > maxFiles {
			return nil, fmt.Errorf("/%s in the image has more than %d files: %w", path, maxFiles, errdefs.ErrInvalidArgument)
		}
		if err != nil {
			return paths, nil //nolint:nilerr // what there is was read
		}
	}
}
