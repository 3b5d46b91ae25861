package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/mountns"
)

// annotationSubpath, and the name of the pin behind it, says in a container's spec
// which "<volume>/<subpath>" it stands for.
const annotationSubpath = "io.edged.subpath."

// pinPath is where a subpath of a volume is mounted while its container is started.
// runc mounts by path, and follows the links it finds there; a module that shares the
// volume could put one in at that moment. So what openat2 found is pinned by a bind in
// a place that no module can reach, and runc is given that.
func (e *Engine) pinPath(id, destination string) string {
	sum := sha256.Sum256([]byte(destination))
	return filepath.Join(e.pinDir(id), hex.EncodeToString(sum[:8]))
}

func (e *Engine) pinDir(id string) string { return filepath.Join(e.Run, "subpaths", id) }

// pinSubpaths mounts what the annotations of a spec ask for. The caller unpins once
// runc has made its own mounts of them. Errors: errdefs.InvalidArgument when a subpath
// is not there, or leads out of its volume by now.
func (e *Engine) pinSubpaths(id string, annotations map[string]string) error {
	err := e.MountNS.Run(func() error { return e.pinAll(id, annotations) })
	if err != nil {
		e.unpinSubpaths(id)
	}
	return err
}

func (e *Engine) pinAll(id string, annotations map[string]string) error {
	for key, what := range annotations {
		pin, ok := strings.CutPrefix(key, annotationSubpath)
		if !ok {
			continue
		}
		name, sub, _ := strings.Cut(what, "/")
		if err := e.pinSubpath(filepath.Join(e.pinDir(id), pin), name, sub); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) pinSubpath(pin, name, sub string) error {
	f, err := e.Volumes.OpenSubpath(name, sub)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = os.MkdirAll(filepath.Dir(pin), 0o700)
	}
	switch {
	case err != nil:
	case info.IsDir():
		err = os.Mkdir(pin, 0o700)
	default:
		err = os.WriteFile(pin, nil, 0o600)
	}
	if err == nil {
		source := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
		err = unix.Mount(source, pin, "", unix.MS_BIND|unix.MS_REC, "")
	}
	if err == nil {
		err = unix.Mount("", pin, "", unix.MS_PRIVATE|unix.MS_REC, "")
	}
	if err != nil {
		return fmt.Errorf("cannot pin subpath %q of volume %q: %w", sub, name, err)
	}
	return nil
}

// unpinSubpaths removes what pinSubpaths made, after a crash too. What is mounted in a
// container by then stays there.
func (e *Engine) unpinSubpaths(id string) {
	if err := e.MountNS.Run(func() error { return unpinAll(e.pinDir(id)) }); err != nil {
		e.Log.WithError(err).WithField("container", id).Warn("cannot remove the pins of a container's subpaths")
	}
}

func unpinAll(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		pin := filepath.Join(dir, entry.Name())
		mountns.UnmountAll(pin) // a crash may have left more than one
		// Never RemoveAll: were it still mounted, that would take the volume's data.
		err = errors.Join(err, os.Remove(pin))
	}
	return errors.Join(err, os.Remove(dir))
}

// sweepPins removes pins that a crash left.
func (e *Engine) sweepPins() {
	entries, err := os.ReadDir(filepath.Dir(e.pinDir("x")))
	if err != nil {
		return // none was ever made
	}
	for _, entry := range entries {
		if !e.isMaking(entry.Name()) {
			e.unpinSubpaths(entry.Name())
		}
	}
}
