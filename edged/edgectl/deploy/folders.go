package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/edged/edgectl/file"
	"github.com/edged/edged/pkg/deployment"
)

// Folders are what edged shares with the agent, on the host.
type Folders struct{ Desired, Status string }

// FoldersOf are those of a home folder.
func FoldersOf(home string) Folders {
	return Folders{Desired: filepath.Join(home, "agent", "desired"), Status: filepath.Join(home, "agent", "status")}
}

// Manifest is the text that the agent is to apply; fs.ErrNotExist without one. One
// that was written by hand as YAML counts where there is no other, as for the agent.
func (f Folders) Manifest() ([]byte, error) {
	text, err := file.Read(filepath.Join(f.Desired, deployment.ManifestFile), deployment.MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		if yaml, err := file.Read(filepath.Join(f.Desired, deployment.ManifestFileYAML), deployment.MaxFile); err == nil {
			return yaml, nil
		}
	}
	return text, err
}

// Secrets are the values of ${NAME} that were given before; none without a file.
func (f Folders) Secrets() (map[string]string, error) {
	text, err := file.Read(filepath.Join(f.Desired, deployment.SecretsFile), deployment.MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	return manifest.ParseSecrets(text)
}

// ReadStatus is what the agent says; fs.ErrNotExist when it has said nothing yet.
func (f Folders) ReadStatus() (*deployment.Status, error) {
	var s deployment.Status
	return &s, f.readJSON(deployment.StatusFile, &s)
}

// History is what the agent remembers, newest first; empty without any.
func (f Folders) History() (*deployment.History, error) {
	var h deployment.History
	if err := f.readJSON(deployment.HistoryFile, &h); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &h, nil
}

func (f Folders) readJSON(name string, v any) error {
	text, err := file.ReadIn(f.Status, name, deployment.MaxFile)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("cannot read %s: %w", filepath.Join(f.Status, name), err)
	}
	return nil
}

// Text is the manifest of a revision of the history. It is what its revision says, or
// an error: the folder is the agent's, and what is put back was not written by it.
func (f Folders) Text(revision string) ([]byte, error) {
	if len(revision) != 64 || strings.Trim(revision, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("cannot read manifest: %q is no revision: %w", revision, errdefs.ErrInvalidArgument)
	}
	text, err := file.ReadIn(f.Status, filepath.Join(deployment.ManifestsFolder, revision), deployment.MaxFile)
	if err != nil {
		return nil, err
	}
	if manifest.Revision(text) != revision {
		return nil, fmt.Errorf("cannot use the manifest of revision %s: it was changed: %w", revision, errdefs.ErrDataLoss)
	}
	return text, nil
}

// Lock keeps others from writing until release is called; errdefs.Unavailable when
// somebody else has it.
func (f Folders) Lock() (release func(), err error) {
	d, err := os.Open(f.Desired)
	if err != nil {
		return nil, fmt.Errorf("cannot open the folder of what is desired: %w", err)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("another edgectl is changing the deployment: %w", errdefs.ErrUnavailable)
	}
	return func() { _ = d.Close() }, nil
}

// Write gives the agent a manifest and what its variables stand for. The secrets come
// first, and none that a manifest of the history needs is dropped: the agent goes back
// to one of those by itself.
func (f Folders) Write(text []byte, given map[string]string) error {
	st, err := os.Stat(f.Desired)
	if err != nil {
		return fmt.Errorf("cannot write manifest: %w", err)
	}
	gid := -1
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		gid = int(sys.Gid)
	}
	before, err := f.Secrets()
	if err != nil {
		return err
	}
	secrets := f.keep(before, text)
	for name, value := range given {
		secrets[name] = value
	}
	if len(secrets) > 0 || len(before) > 0 {
		b, err := json.MarshalIndent(secrets, "", "  ")
		if err != nil {
			return fmt.Errorf("cannot encode secrets: %w", err)
		}
		if err := file.Write(filepath.Join(f.Desired, deployment.SecretsFile), append(b, '\n'), 0o640, gid); err != nil {
			return err
		}
	}
	return file.Write(filepath.Join(f.Desired, deployment.ManifestFile), text, 0o640, gid)
}

// keep returns the secrets that the new manifest, the present one or one of the
// history names.
func (f Folders) keep(secrets map[string]string, text []byte) map[string]string {
	texts := []string{string(text)}
	if now, err := f.Manifest(); err == nil {
		texts = append(texts, string(now))
	}
	history, err := f.History()
	if err != nil {
		history = &deployment.History{}
	}
	for _, e := range history.Deployments {
		if t, err := f.Text(e.Revision); err == nil {
			texts = append(texts, string(t))
		}
	}
	all := strings.Join(texts, "\n")
	kept := map[string]string{}
	for name, value := range secrets {
		if strings.Contains(all, "${"+name+"}") {
			kept[name] = value
		}
	}
	return kept
}
