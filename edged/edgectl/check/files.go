package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxFile bounds what is read of any file here.
const maxFile = 1 << 20

// errNotRegular is for what stands in the place of a file.
var errNotRegular = errors.New("it is not a regular file")

// path is a path of the host.
func (d *device) path(p string) string { return filepath.Join(d.Root, p) }

// read reads a small file of the host; empty when it cannot be read.
func (d *device) read(p string) string {
	b, err := readRegular(d.path(p), 0)
	if err != nil {
		return ""
	}
	return string(b)
}

func (d *device) exists(p string) bool {
	_, err := os.Stat(d.path(p))
	return err == nil
}

// readRegular reads a small file; flags such as O_NOFOLLOW add to how it is opened.
// Neither a pipe in its place nor a file without end holds a check up.
func readRegular(path string, flags int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|flags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot read %s: %w", path, errNotRegular)
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// owner is the uid and gid of a file.
func owner(st os.FileInfo) (uid, gid int) {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return int(sys.Uid), int(sys.Gid)
}

// groupID is the gid of the group edged, as edged itself looks it up: in the file,
// not in a directory service. -1 when there is none.
func (d *device) groupID() int {
	for line := range strings.Lines(d.read("/etc/group")) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) > 2 && f[0] == "edged" {
			if gid, err := strconv.Atoi(f[2]); err == nil {
				return gid
			}
		}
	}
	return -1
}

// program finds a program of the host: in PATH, or where a shell that is not root's
// does not look.
func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/local/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("cannot find %s", name)
}

// output runs a program and returns its standard output, or what it said of its failure.
func output(ctx context.Context, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		if said := strings.TrimSpace(string(failed.Stderr)); said != "" {
			err = errors.New(said)
		}
	}
	if ctx.Err() != nil {
		err = errors.New("it did not end in time")
	}
	return strings.TrimSpace(string(out)), err
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSpace(line)
}
