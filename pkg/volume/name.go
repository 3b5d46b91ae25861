package volume

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/lazyregexp"
)

var (
	// namePattern is Docker's RestrictedNamePattern, which forbids the dot at the
	// beginning that edged's own folders among the volumes have.
	namePattern      = lazyregexp.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)
	anonymousPattern = lazyregexp.New(`^[0-9a-f]{64}$`)
)

// maxName is the longest name of a file, and so of a volume.
const maxName = 255

// CheckName checks the name of a named volume: Docker's rule, but not the form of
// anonymous ones, through which one module would reach into another's data. The error
// is errdefs.InvalidArgument.
func CheckName(name string) error {
	switch {
	case !namePattern().MatchString(name), len(name) > maxName:
		return fmt.Errorf("invalid volume name %q: it has 2 to %d letters, digits, \"_\", \".\" and \"-\", the first a letter or digit: %w", name, maxName, errdefs.ErrInvalidArgument)
	case IsAnonymous(name):
		return fmt.Errorf("invalid volume name %q: 64 hexadecimal digits name the anonymous volume of a module: %w", name, errdefs.ErrInvalidArgument)
	}
	return nil
}

// Anonymous is the name of a module's anonymous volume at a mount point, clean and
// absolute. It is derived, so every generation of the module finds the same volume.
func Anonymous(module, destination string) string {
	sum := sha256.Sum256([]byte(module + "\x00" + destination))
	return hex.EncodeToString(sum[:])
}

// IsAnonymous says whether a name has the form of an anonymous volume's.
func IsAnonymous(name string) bool { return anonymousPattern().MatchString(name) }
