package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	continuity "github.com/containerd/continuity/fs"
	"github.com/containerd/errdefs"
	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxUserFile bounds what is read of an image's /etc/passwd or /etc/group.
const maxUserFile = 4 << 20

// maxID is runc's, for users and groups.
const maxID = math.MaxInt32

// imageLook mounts an image read-only while do looks into it.
type imageLook func(ctx context.Context, do func(root string) error) error

// userFiles are an image's /etc/passwd and /etc/group; nil where there is none.
type userFiles struct {
	passwd, group []byte
}

// readUserFiles reads them in the image at root. The error is errdefs.InvalidArgument
// when one of them is not what it should be.
func readUserFiles(root string) (f userFiles, err error) {
	if f.passwd, err = readUserFile(root, "etc/passwd"); err == nil {
		f.group, err = readUserFile(root, "etc/group")
	}
	return f, err
}

// readUserFile reads a file whose author nobody knows. Nothing is opened before it is
// known to be a regular file: opening a FIFO waits for ever, and opening a device node
// may be all that it takes to start a watchdog or rewind a tape. Links are followed
// inside the image alone, where nothing changes meanwhile.
func readUserFile(root, name string) ([]byte, error) {
	found, err := continuity.RootPath(root, name)
	if err != nil {
		return nil, fmt.Errorf("cannot find /%s in the image: %w: %w", name, err, errdefs.ErrInvalidArgument)
	}
	fd, err := unix.Open(found, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot find /%s in the image: %w", name, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("cannot look at /%s in the image: %w", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("/%s in the image is not a regular file: %w", name, errdefs.ErrInvalidArgument)
	}
	// #nosec G304 -- the descriptor that was looked at
	file, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(fd), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open /%s in the image: %w", name, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxUserFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot read /%s in the image: %w", name, err)
	case len(text) > maxUserFile:
		return nil, fmt.Errorf("/%s in the image is longer than %d bytes: %w", name, maxUserFile, errdefs.ErrInvalidArgument)
	}
	return slices.Clip(append(text, '\n')), nil // never nil: it is there
}

// lookUp finds what Config.User says, "user[:group]" by names or numbers, with the
// supplementary groups of that user. As in Docker, a number needs no entry, and a name
// does. Errors are errdefs.InvalidArgument.
func (f userFiles) lookUp(who string) (specs.User, error) {
	var u specs.User
	name, group, withGroup := strings.Cut(who, ":")
	if strings.Contains(group, ":") {
		return u, fmt.Errorf("it is user[:group]: %w", errdefs.ErrInvalidArgument)
	}
	if name == "" {
		name = "0"
	}
	uid, numeric, err := parseID(name)
	if err != nil {
		return u, err
	}
	entry, err := f.user(func(e user.User) bool { return numeric && e.Uid == int(uid) || !numeric && e.Name == name })
	switch {
	case err != nil:
		return u, err
	case entry == nil && !numeric:
		return u, fmt.Errorf("the image has no user %q: %w", name, errdefs.ErrInvalidArgument)
	case entry == nil:
		u.UID = uid
	default:
		u.UID, name = uint32(entry.Uid), entry.Name // #nosec G115 -- moby/sys parses 31 bits
		if who != "" && !withGroup {
			u.GID = uint32(entry.Gid) // #nosec G115
		}
	}
	if group != "" {
		if u.GID, err = f.groupID(group); err != nil {
			return u, err
		}
	}
	if entry == nil {
		name = "" // a number is nobody's name
	}
	further, err := f.groups(func(g user.Group) bool { return name != "" && g.Name != name && slices.Contains(g.List, name) })
	if err != nil {
		return u, err
	}
	u.AdditionalGids = []uint32{u.GID}
	for _, g := range further {
		if gid := uint32(g.Gid); gid != u.GID { // #nosec G115
			u.AdditionalGids = append(u.AdditionalGids, gid)
		}
	}
	return u, nil
}

// groupID is the number of a group by its name or number.
func (f userFiles) groupID(name string) (uint32, error) {
	gid, numeric, err := parseID(name)
	if err != nil || numeric {
		return gid, err
	}
	found, err := f.groups(func(g user.Group) bool { return g.Name == name })
	if err != nil {
		return 0, err
	}
	if len(found) == 0 {
		return 0, fmt.Errorf("the image has no group %q: %w", name, errdefs.ErrInvalidArgument)
	}
	return uint32(found[0].Gid), nil // #nosec G115
}

// parseID says whether a user or group is given by number, and which.
func parseID(s string) (id uint32, numeric bool, err error) {
	n, err := strconv.Atoi(s)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false, nil //nolint:nilerr // it is a name
	}
	if err != nil || n < 0 || n > maxID {
		return 0, true, fmt.Errorf("number %s is not between 0 and %d: %w", s, maxID, errdefs.ErrInvalidArgument)
	}
	return uint32(n), true, nil
}

func (f userFiles) user(which func(user.User) bool) (*user.User, error) {
	found, err := user.ParsePasswdFilter(bytes.NewReader(f.passwd), func(u user.User) bool { return validID(u.Uid) && validID(u.Gid) && which(u) })
	if err != nil {
		return nil, fmt.Errorf("cannot read /etc/passwd in the image: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return &found[0], nil
}

func (f userFiles) groups(which func(user.Group) bool) ([]user.Group, error) {
	found, err := user.ParseGroupFilter(bytes.NewReader(f.group), func(g user.Group) bool { return validID(g.Gid) && which(g) })
	if err != nil {
		return nil, fmt.Errorf("cannot read /etc/group in the image: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	return found, nil
}

func validID(n int) bool { return n >= 0 && n <= maxID }
