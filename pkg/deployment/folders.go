package deployment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/file"
	"github.com/edged/edged/pkg/lazyregexp"
)

// Revision names the text of a manifest: its SHA-256 in hex.
func Revision(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Folders are what edged shares with the agent, on the host. What stands in Status was
// written by a module: it is read with limits and through no link, and believed in
// nothing that matters.
type Folders struct{ Desired, Status string }

// FoldersOf are those of a home folder.
func FoldersOf(home string) Folders {
	return Folders{Desired: filepath.Join(home, "agent", "desired"), Status: filepath.Join(home, "agent", "status")}
}

// Manifest is the text that the agent is to apply; fs.ErrNotExist without one. One
// that was written by hand as YAML counts where there is no other, as for the agent.
func (f Folders) Manifest() ([]byte, error) {
	text, err := file.Read(filepath.Join(f.Desired, ManifestFile), MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		if yaml, err := file.Read(filepath.Join(f.Desired, ManifestFileYAML), MaxFile); err == nil {
			return yaml, nil
		}
	}
	return text, err
}

// Secrets are the values of ${NAME} that were given before; none without a file. One
// that somebody wrote by hand and wrong is errdefs.FailedPrecondition.
func (f Folders) Secrets() (map[string]string, error) {
	text, err := file.Read(filepath.Join(f.Desired, SecretsFile), MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	secrets, err := ParseSecrets(text)
	if err != nil {
		return nil, fmt.Errorf("%w; correct or remove %s: %w", err, filepath.Join(f.Desired, SecretsFile), errdefs.ErrFailedPrecondition)
	}
	return secrets, nil
}

// ReadStatus is what the agent says; fs.ErrNotExist when it has said nothing yet.
func (f Folders) ReadStatus() (*Status, error) {
	var s Status
	return &s, f.readJSON(StatusFile, &s)
}

// History is what the agent remembers, newest first; empty without any.
func (f Folders) History() (*History, error) {
	var h History
	if err := f.readJSON(HistoryFile, &h); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &h, nil
}

func (f Folders) readJSON(name string, v any) error {
	text, err := file.ReadIn(f.Status, name, MaxFile)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("cannot read %s: %w", filepath.Join(f.Status, name), err)
	}
	return nil
}

// Text is the manifest of a revision of the history. It is what its revision says, or
// an error: what is put back was not written by the agent, whose folder it lies in.
// Errors: errdefs.InvalidArgument, NotFound, DataLoss.
func (f Folders) Text(revision string) ([]byte, error) {
	if len(revision) != 2*sha256.Size || strings.Trim(revision, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("cannot read manifest: %q is no revision: %w", revision, errdefs.ErrInvalidArgument)
	}
	text, err := file.ReadIn(f.Status, filepath.Join(ManifestsFolder, revision), MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the manifest of revision %s is not kept: %w", revision, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	if Revision(text) != revision {
		return nil, fmt.Errorf("cannot use the manifest of revision %s: it was changed: %w", revision, errdefs.ErrDataLoss)
	}
	return text, nil
}

// Write gives the agent a manifest and what its variables stand for. The secrets come
// first, and none that a manifest of the history needs is dropped: the agent goes back
// to one of those by itself. Two writers at once are the caller's to prevent. A full
// disk is errdefs.ResourceExhausted.
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
	maps.Copy(secrets, given)
	if !maps.Equal(secrets, before) {
		b, err := json.MarshalIndent(secrets, "", "  ")
		if err != nil {
			return fmt.Errorf("cannot encode secrets: %w", err)
		}
		if len(b) >= MaxFile {
			return fmt.Errorf("the values of variables are larger than %d bytes: %w", MaxFile, errdefs.ErrInvalidArgument)
		}
		if err := file.Write(filepath.Join(f.Desired, SecretsFile), append(b, '\n'), 0o640, gid); err != nil {
			return err
		}
	}
	return file.Write(filepath.Join(f.Desired, ManifestFile), text, 0o640, gid)
}

// Sweep removes what an edged left that was killed while it wrote: values of variables.
func (f Folders) Sweep() error {
	return errors.Join(file.Sweep(filepath.Join(f.Desired, SecretsFile)), file.Sweep(filepath.Join(f.Desired, ManifestFile)))
}

// named finds the names of ${NAME} in a text.
var named = lazyregexp.New(`\$\{([^{}]+)\}`)

// keep returns the secrets that the new manifest, the present one or one of the
// history names.
func (f Folders) keep(secrets map[string]string, text []byte) map[string]string {
	texts := [][]byte{text}
	if now, err := f.Manifest(); err == nil {
		texts = append(texts, now)
	}
	history, err := f.History()
	if err != nil {
		history = &History{}
	}
	for _, e := range history.Deployments {
		if t, err := f.Text(e.Revision); err == nil {
			texts = append(texts, t)
		}
	}
	kept := map[string]string{}
	for _, t := range texts {
		for _, m := range named().FindAllSubmatch(t, -1) {
			if value, ok := secrets[string(m[1])]; ok {
				kept[string(m[1])] = value
			}
		}
	}
	return kept
}
