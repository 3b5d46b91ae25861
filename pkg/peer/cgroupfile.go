package peer

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
)

// Why a /proc/<pid>/cgroup file tells nothing. All of them mean: refuse.
var (
	// ErrNoInstance says that no line leads into a recorded cgroup (errdefs.ErrNotFound).
	ErrNoInstance = fmt.Errorf("no recorded instance: %w", errdefs.ErrNotFound)
	// ErrDisagree says that two lines lead into the cgroups of different instances (errdefs.ErrConflict).
	ErrDisagree = fmt.Errorf("hierarchies name different instances: %w", errdefs.ErrConflict)
	// ErrDeleted says that the cgroup was removed: only a process that is about to vanish is in such a one (errdefs.ErrUnavailable).
	ErrDeleted = fmt.Errorf("cgroup is deleted: %w", errdefs.ErrUnavailable)
	// ErrOutside says that a path leaves the root of edged's own cgroup namespace (errdefs.ErrOutOfRange).
	ErrOutside = fmt.Errorf("cgroup is outside of this cgroup namespace: %w", errdefs.ErrOutOfRange)
	// ErrMalformed says that the file is not what cgroups(7) says (errdefs.ErrDataLoss).
	ErrMalformed = fmt.Errorf("cgroup file is malformed: %w", errdefs.ErrDataLoss)
)

// maxCgroupLines is more than the hierarchies a kernel has: each v1 controller can be in one only, and who may mount named ones is root.
const maxCgroupLines = 128

// cgroupLine is one hierarchy of /proc/<pid>/cgroup (cgroups(7)). The slices are of the buffer it was read from.
type cgroupLine struct {
	id          []byte // "0" is the v2 hierarchy
	controllers []byte // empty on v2; "name=systemd" for systemd's own on v1
	path        []byte // absolute
}

// cgroupLines walks the lines of a /proc/<pid>/cgroup file.
type cgroupLines struct {
	rest  []byte
	count int
	err   error
}

// next returns false at the end and at the first line that makes the whole file useless; err tells which.
func (l *cgroupLines) next() (cgroupLine, bool) {
	if len(l.rest) == 0 {
		if l.count == 0 {
			l.err = ErrMalformed
		}
		return cgroupLine{}, false
	}
	if l.count++; l.count > maxCgroupLines {
		l.err = ErrMalformed
		return cgroupLine{}, false
	}
	var text []byte
	text, l.rest, _ = bytes.Cut(l.rest, []byte("\n"))
	line, err := parseCgroupLine(text)
	if err != nil {
		l.err = err
		return cgroupLine{}, false
	}
	return line, true
}

// parseCgroupLine splits at the first two colons only: a third is part of the path, which the kernel does not escape.
func parseCgroupLine(text []byte) (cgroupLine, error) {
	id, rest, ok := bytes.Cut(text, []byte(":"))
	if !ok {
		return cgroupLine{}, ErrMalformed
	}
	controllers, path, ok := bytes.Cut(rest, []byte(":"))
	if !ok {
		return cgroupLine{}, ErrMalformed
	}
	if err := checkPath(path); err != nil {
		return cgroupLine{}, err
	}
	return cgroupLine{id: id, controllers: controllers, path: path}, nil
}

// checkPath refuses what no living process inside edged's cgroup namespace shows. A cgroup whose real name ends in " (deleted)" is refused as well: its
// owner chose that.
func checkPath(path []byte) error {
	if len(path) == 0 || path[0] != '/' {
		return ErrMalformed
	}
	if bytes.HasSuffix(path, []byte(" (deleted)")) {
		return ErrDeleted
	}
	for rest := path; ; {
		i := bytes.Index(rest, []byte("/.."))
		if i < 0 {
			return nil
		}
		if rest = rest[i+len("/.."):]; len(rest) == 0 || rest[0] == '/' {
			return ErrOutside
		}
	}
}

// boundary returns the length of the prefix of path that ends with its next whole component after from, or 0 at the end. "/a/b": 2 from 0, 4 from 2.
func boundary(path []byte, from int) int {
	if from >= len(path) || path[from] != '/' {
		return 0
	}
	if i := bytes.IndexByte(path[from+1:], '/'); i >= 0 {
		return from + 1 + i
	}
	if from+1 == len(path) {
		return 0 // "/", or a trailing slash
	}
	return len(path)
}

// within says whether path is dir or below it, in whole components.
func within(path []byte, dir string) bool {
	return len(path) >= len(dir) && string(path[:len(dir)]) == dir && (len(path) == len(dir) || path[len(dir)] == '/')
}

// cgroupReason names a cgroup file's error for Caller.Reason.
func cgroupReason(err error) string {
	switch {
	case errors.Is(err, ErrDisagree):
		return ReasonDisagree
	case errors.Is(err, ErrDeleted):
		return ReasonGone
	case errors.Is(err, ErrOutside):
		return ReasonForeignContainer
	default:
		return ReasonMalformed
	}
}
