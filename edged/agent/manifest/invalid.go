package manifest

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// maxProblems bounds what an error shows.
const maxProblems = 20

// Invalid says what is wrong with a manifest, one entry a problem, each with its
// place. No entry has the value of a secret.
type Invalid struct{ Problems []string }

func (e *Invalid) Error() string {
	shown := e.Problems
	more := ""
	if len(shown) > maxProblems {
		more = fmt.Sprintf("; and %d more", len(shown)-maxProblems)
		shown = shown[:maxProblems]
	}
	return "invalid manifest: " + strings.Join(shown, "; ") + more
}

// Unwrap gives it its class.
func (e *Invalid) Unwrap() error { return errdefs.ErrInvalidArgument }
