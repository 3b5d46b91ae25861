package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/network"
)

// networkFiles makes hosts, hostname and resolv.conf of a container and returns
// their mounts; images have none of their own that would be right. What is in them is
// written before each start.
func (e *Engine) networkFiles(id, hostname string) ([]specs.Mount, error) {
	if err := e.writeNetworkFiles(id, hostname, network.Files{}); err != nil {
		return nil, err
	}
	var mounts []specs.Mount
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		mounts = append(mounts, specs.Mount{Destination: "/etc/" + name, Source: filepath.Join(e.filesDir(id), name), Type: "bind", Options: []string{"rbind", "rprivate", "rw"}})
	}
	return mounts, nil
}

// HostsFile is the hosts file of a container, whether it is there or not.
func HostsFile(home, id string) string { return filepath.Join(home, "containers", id, "hosts") }

// writeNetworkFiles writes them anew before each start, too: what a power cut left may
// be empty, and the host's resolv.conf may have changed. The files of an earlier run are
// replaced and never opened: a module may have passed its open file to another, which
// holds a lease on it (fcntl(2), F_SETLEASE) and lets whoever opens it wait.
func (e *Engine) writeNetworkFiles(id, hostname string, files network.Files) error {
	// Also before a start: a power cut may have taken the folder itself.
	if err := os.MkdirAll(e.filesDir(id), 0o700); err != nil {
		return fmt.Errorf("cannot make folder of container %s: %w", id, err)
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{"hosts", files.Hosts}, {"hostname", []byte(hostname + "\n")}, {"resolv.conf", files.Resolv}} {
		if err := replaceFile(filepath.Join(e.filesDir(id), f.name), f.text); err != nil {
			return fmt.Errorf("cannot write %s of container %s: %w", f.name, id, err)
		}
	}
	return nil
}

// replaceFile puts a new file in a file's place, which modules of any user may read. It
// need not be there after a power cut.
func replaceFile(path string, text []byte) error {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return err
	}
	// Whatever umask edged runs under.
	if err := os.Chmod(tmp, 0o644); err != nil { // #nosec G302
		return err
	}
	return os.Rename(tmp, path)
}

func (e *Engine) filesDir(id string) string { return filepath.Join(e.Home, "containers", id) }

// makeBindSources makes the folders that Binds name and that are missing, as
// Docker does for Binds, and for Mounts that ask for it. A socket's path is left
// alone: a folder in its place keeps the daemon that owns it from starting. Nothing is
// made before guard has judged all mounts, and what is made is what it judged.
func (e *Engine) makeBindSources(c *module.Container, o *options) error {
	mounts, err := e.mounts(&c.Spec, o, c.Sockets, nil)
	if err != nil {
		return err
	}
	return e.MountNS.Run(func() error { return makeMissing(mounts, c.Sockets) })
}

func makeMissing(mounts []specs.Mount, sockets string) error {
	for _, m := range mounts {
		if m.Type != "bind" || m.Source == sockets {
			continue
		}
		if _, err := os.Lstat(m.Source); !errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := makeOpenFolder(m.Source); err != nil {
			return fmt.Errorf("cannot make bind source: %w", err)
		}
	}
	return nil
}

// makeOpenFolder makes a folder and its parents with Docker's mode, whatever umask
// edged runs under. The path has no links, and one that a module puts in its way by now
// is not followed: the folder would come about wherever it leads.
func makeOpenFolder(dir string) error {
	const how = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	at, err := unix.Open("/", how, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/", Err: err}
	}
	for name := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		next, err := unix.Openat(at, name, how, 0)
		if errors.Is(err, unix.ENOENT) {
			err = unix.Mkdirat(at, name, 0o755)
			made := err == nil
			if made || errors.Is(err, unix.EEXIST) {
				next, err = unix.Openat(at, name, how, 0)
			}
			if made && err == nil {
				err = os.Chmod("/proc/self/fd/"+strconv.Itoa(next), 0o755) // #nosec G302 -- Docker's mode
			}
		}
		_ = unix.Close(at)
		if err != nil {
			return &os.PathError{Op: "mkdir", Path: dir, Err: err}
		}
		at = next
	}
	return os.NewSyscallError("close", unix.Close(at))
}
