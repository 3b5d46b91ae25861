package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/edged/edged/edged/agent/manifest"
)

// Files that are read, in the folder of what is desired.
const (
	manifestFile = "deployment.json"
	secretsFile  = "secrets.json"
)

// source is the manifest and what its variables stand for. The files are looked at
// again and again rather than watched: a mount shows a watcher no events when the
// folder was replaced on the other side.
type source struct {
	folder string
	lookup manifest.Lookup
	seen   [2]stamp
}

// stamp tells a file from what was there before. Whoever replaces a file by renaming
// changes its inode, whoever writes into it its times.
type stamp struct {
	device, inode uint64
	size          int64
	mtime, ctime  syscall.Timespec
}

func stampOf(path string) stamp {
	var st syscall.Stat_t
	if syscall.Stat(path, &st) != nil {
		return stamp{} // also when it may not be looked at; reading says why
	}
	return stamp{device: st.Dev, inode: st.Ino, size: st.Size, mtime: st.Mtim, ctime: st.Ctim}
}

// changed says whether the files are others than at its last call. The stamps are
// taken before the files are read, so a change while they are is seen the next time.
func (s *source) changed() bool {
	now := [2]stamp{stampOf(filepath.Join(s.folder, manifestFile)), stampOf(filepath.Join(s.folder, secretsFile))}
	if now == s.seen {
		return false
	}
	s.seen = now
	return true
}

// read reads and checks the manifest. The revision is there whenever the text is,
// right or wrong. Errors: fs.ErrNotExist when there is none, *manifest.Invalid.
func (s *source) read() (d *manifest.Deployment, revision string, err error) {
	text, err := readFile(filepath.Join(s.folder, manifestFile))
	if err != nil {
		return nil, "", err
	}
	revision = manifest.Revision(text)
	secrets, err := s.secrets()
	if err != nil {
		return nil, revision, err
	}
	d, err = manifest.Parse(text, func(name string) (string, bool) {
		// What was written beside the manifest is meant for it.
		if value, ok := secrets[name]; ok {
			return value, true
		}
		return s.lookup(name)
	})
	return d, revision, err
}

func (s *source) secrets() (map[string]string, error) {
	text, err := readFile(filepath.Join(s.folder, secretsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return manifest.ParseSecrets(text)
}

// readFile reads one byte more than a manifest may have, for Parse to refuse it.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read manifest: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, manifest.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read manifest: %w", err)
	}
	return text, nil
}
