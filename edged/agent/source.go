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
	"github.com/edged/edged/pkg/deployment"
)

// source is the manifest and what its variables stand for.
type source struct {
	folder string
	lookup manifest.Lookup
	seen   stamps
}

// wanted is what there is in the folder.
type wanted struct {
	// deployment is nil when there is none or it is invalid.
	deployment *manifest.Deployment
	// text is the manifest's, and revision its name; empty without one.
	text     []byte
	revision string
	// stamp tells this writing of the files from any other, of the same text too.
	stamp string
	// err is fs.ErrNotExist when there is no manifest, a *manifest.Invalid when it is wrong.
	err error
}

// stamp tells a file from what was there before. Whoever replaces a file by renaming
// changes its inode, whoever writes into it its times.
type stamp struct {
	inode uint64
	size  int64
	mtime syscall.Timespec
}

type stamps [3]stamp

func stampOf(path string) stamp {
	var st syscall.Stat_t
	if syscall.Stat(path, &st) != nil {
		return stamp{} // also when it may not be looked at; reading says why
	}
	return stamp{inode: st.Ino, size: st.Size, mtime: st.Mtim}
}

// changed says whether the files are others than at its last call. The stamps are
// taken before the files are read, so a change while they are is seen the next time.
func (s *source) changed() bool {
	var now stamps
	for i, name := range []string{deployment.ManifestFile, deployment.ManifestFileYAML, deployment.SecretsFile} {
		now[i] = stampOf(filepath.Join(s.folder, name))
	}
	if now == s.seen {
		return false
	}
	s.seen = now
	return true
}

// read reads and checks the manifest.
func (s *source) read() wanted {
	w := wanted{stamp: fmt.Sprint(s.seen)}
	text, err := readFile(filepath.Join(s.folder, deployment.ManifestFile))
	yaml := s.seen[1] != stamp{}
	both := err == nil && yaml
	if errors.Is(err, fs.ErrNotExist) && yaml {
		text, err = readFile(filepath.Join(s.folder, deployment.ManifestFileYAML))
	}
	if err != nil {
		w.err = err
		return w
	}
	w.text, w.revision = text, deployment.Revision(text)
	secrets, err := s.secrets()
	if err != nil {
		w.err = err
		return w
	}
	w.deployment, w.err = manifest.Parse(text, s.values(secrets))
	if w.err == nil && both {
		w.deployment.Notices = append(w.deployment.Notices, deployment.ManifestFileYAML+" has no effect while there is "+deployment.ManifestFile+": remove one of them")
	}
	return w
}

// again reads the text of a deployment that was good. What its variables stood for may
// be gone; its images are most likely here, so that is no reason to refuse it.
func (s *source) again(text []byte) (*manifest.Deployment, error) {
	secrets, err := s.secrets()
	if err != nil {
		secrets = nil
	}
	find := s.values(secrets)
	return manifest.Parse(text, func(name string) (string, bool) {
		value, _ := find(name)
		return value, true
	})
}

// values prefers what was written beside the manifest, which is meant for it.
func (s *source) values(secrets map[string]string) manifest.Lookup {
	return func(name string) (string, bool) {
		if value, ok := secrets[name]; ok {
			return value, true
		}
		return s.lookup(name)
	}
}

func (s *source) secrets() (map[string]string, error) {
	text, err := readFile(filepath.Join(s.folder, deployment.SecretsFile))
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
