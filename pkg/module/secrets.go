package module

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/lazyregexp"
)

// Secret is a file that a module finds when it runs and that is nowhere else to be
// read. It names where the bytes are and does not hold them, but as sealed text.
type Secret struct {
	// Name is of letters, digits, '.', '_' and '-'.
	Name string `json:"name"`
	// Sealed is text that this device alone can open, File a path on the host: one of them is given.
	Sealed string `json:"sealed,omitempty"`
	File   string `json:"file,omitempty"`
	// Path is where the module finds it.
	Path string `json:"path"`
	// Mode is its permission bits.
	Mode uint32 `json:"mode"`
	// UID and GID own it; nil is the module's user, and group.
	UID *uint32 `json:"uid,omitempty"`
	GID *uint32 `json:"gid,omitempty"`
}

// Defaults and bounds of secrets.
const (
	SecretsDir           = "/run/secrets"
	SecretMode    uint32 = 0o400
	maxSecrets           = 32
	maxSecretPath        = 1024
)

// Secrets opens secrets and puts them where a module's container finds them.
type Secrets interface {
	// Check says whether the module may have what its spec names. Errors are errdefs.InvalidArgument.
	Check(module string, secrets []Secret) error
	// Mounts are those of a container, whose sources are there between Place and Remove.
	Mounts(containerID string, secrets []Secret) []Mount
	// Place makes the files, owned by uid and gid where a secret names no other owner.
	// Errors: InvalidArgument where a secret is not to be had, Unavailable.
	Place(containerID, module string, secrets []Secret, uid, gid uint32) error
	// Remove forgets a container's files; none there is success.
	Remove(containerID string) error
	// Keep forgets the files of an earlier edged of all containers but these.
	Keep(containerIDs []string) error
}

var secretName = lazyregexp.New(`^[A-Za-z0-9._-]{1,128}$`)

// validateSecrets completes defaults, puts secrets in the order of their names, and
// refuses what the spec alone shows to be wrong.
func (s *Spec) validateSecrets() error {
	if len(s.Secrets) > maxSecrets {
		return fmt.Errorf("settings.secrets names more than %d secrets: %w", maxSecrets, errdefs.ErrInvalidArgument)
	}
	slices.SortFunc(s.Secrets, func(a, b Secret) int { return strings.Compare(a.Name, b.Name) })
	for i := range s.Secrets {
		one := &s.Secrets[i]
		if err := one.validate(); err != nil {
			return fmt.Errorf("invalid settings.secrets[%q]: %w: %w", one.Name, err, errdefs.ErrInvalidArgument)
		}
		for _, other := range s.Secrets[:i] {
			if inside(one.Path, other.Path) || inside(other.Path, one.Path) {
				return fmt.Errorf("invalid settings.secrets[%q]: its path %s is on or under that of %q: %w", one.Name, one.Path, other.Name, errdefs.ErrInvalidArgument)
			}
		}
	}
	return nil
}

func (s *Secret) validate() error {
	if s.Path == "" {
		s.Path = path.Join(SecretsDir, s.Name)
	}
	switch {
	case !secretName().MatchString(s.Name) || s.Name == "." || s.Name == "..":
		return fmt.Errorf("the name is 1 to 128 letters, digits, '.', '_' and '-'")
	case (s.Sealed == "") == (s.File == ""):
		return fmt.Errorf("it has either sealed or file")
	case s.File != "" && !clean(s.File):
		return fmt.Errorf("file %q is not an absolute path without \".\", \"..\" and \"//\"", s.File)
	case !clean(s.Path):
		return fmt.Errorf("path %q is not an absolute path without \".\", \"..\" and \"//\"", s.Path)
	case s.Mode&^0o777 != 0:
		return fmt.Errorf("mode %#o has more than permission bits", s.Mode)
	}
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if inside(s.Path, dir) {
			return fmt.Errorf("path %s is in %s, which is the kernel's", s.Path, dir)
		}
	}
	return nil
}

// clean says whether p names a file below / in one way only.
func clean(p string) bool {
	return len(p) <= maxSecretPath && path.IsAbs(p) && p != "/" && path.Clean(p) == p && !strings.ContainsFunc(p, unicode.IsControl)
}

// inside says whether p is dir or below it; both are clean.
func inside(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// placeSecrets is done before each start: the files of the run before are gone.
func (w *worker) placeSecrets(ctx context.Context, id string, spec *Spec) error {
	if len(spec.Secrets) == 0 {
		return nil
	}
	uid, gid, err := w.s.Engine.User(ctx, id)
	if err != nil {
		return err
	}
	return w.s.Secrets.Place(id, w.name, spec.Secrets, uid, gid)
}

// deleteTask removes what is left of a run, and then the secrets that it had.
func (w *worker) deleteTask(ctx context.Context, id string) error {
	if err := w.s.Engine.DeleteTask(ctx, id); err != nil {
		return err
	}
	w.removed(id)
	return nil
}

// deleteContainer removes a generation's container, running or not, and the secrets that it had.
func (w *worker) deleteContainer(ctx context.Context, id string) error {
	if err := w.s.Engine.Delete(ctx, id); err != nil {
		return err
	}
	w.removed(id)
	return nil
}

// removed is called when a container has no task any more.
func (w *worker) removed(id string) {
	if w.left == id {
		w.left = ""
	}
	w.removeSecrets(id)
}

// removeSecrets cannot fail but for a defect: what stays is root's alone, in memory,
// and is removed by the next start of edged.
func (w *worker) removeSecrets(id string) {
	if err := w.s.Secrets.Remove(id); err != nil {
		w.s.Log.WithError(err).WithField("module", w.name).Warn("cannot remove a module's secrets")
	}
}

// keepSecrets removes those that an earlier edged left behind.
func (s *Supervisor) keepSecrets() error {
	var ids []string
	for _, in := range s.Table.Instances() {
		ids = append(ids, in.ContainerID)
	}
	return s.Secrets.Keep(ids)
}
