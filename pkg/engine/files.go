package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"

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
	// Also before a start: what a failed try of the create left may have been removed with its folder.
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
// alone: a folder in its place keeps the daemon that owns it from starting.
func makeBindSources(o *options) error {
	var sources []string
	for _, b := range o.HostConfig.Binds {
		m, err := parseBind(b)
		if err != nil {
			return err
		}
		if m.Type == "bind" {
			sources = append(sources, m.Source)
		}
	}
	for _, m := range o.HostConfig.Mounts {
		if m.Type == mount.TypeBind && m.BindOptions != nil && m.BindOptions.CreateMountpoint {
			sources = append(sources, m.Source)
		}
	}
	for _, source := range sources {
		if _, err := os.Stat(source); isLegacySocket(source) || !errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := makeOpenFolder(source); err != nil {
			return fmt.Errorf("cannot make bind source: %w", err)
		}
	}
	return nil
}

// makeOpenFolder makes a folder and its parents with Docker's mode, whatever umask
// edged runs under.
func makeOpenFolder(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := makeOpenFolder(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil { // #nosec G301 -- Docker's mode
		return err
	}
	return os.Chmod(dir, 0o755) // #nosec G302
}
