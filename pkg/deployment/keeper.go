package deployment

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
)

// Keeper gives the agent what operators want of it, one of them at a time, and tells
// what the agent says. Values of variables go in and never out.
type Keeper struct {
	Folders
	// Known are names of variables that the agent finds in its own environment.
	Known []string

	mu sync.Mutex
}

// View is what there is at a moment.
type View struct {
	// Revision is of the manifest that the agent is to apply, empty without one.
	Revision string
	// Variables are the names that have a value, in order.
	Variables []string
	// Status is what the agent says, nil when it has said nothing.
	Status *Status
	// History is the latest deployments, newest first.
	History []Entry
	// Problem says what of this cannot be read, and why; empty when all can. The agent may be
	// anybody's, and what it writes anything.
	Problem string
}

// Look returns what there is.
func (k *Keeper) Look() View {
	var v View
	var problems []error
	text, err := k.Manifest()
	switch {
	case err == nil:
		v.Revision = Revision(text)
	case !errors.Is(err, fs.ErrNotExist):
		problems = append(problems, err)
	}
	secrets, err := k.Secrets()
	problems = append(problems, err)
	v.Variables = slices.Sorted(maps.Keys(secrets))
	for _, name := range k.Known {
		if !slices.Contains(v.Variables, name) {
			v.Variables = append(v.Variables, name)
		}
	}
	slices.Sort(v.Variables)
	switch s, err := k.ReadStatus(); {
	case err == nil:
		v.Status = s
	case !errors.Is(err, fs.ErrNotExist):
		problems = append(problems, err)
	}
	if h, err := k.History(); err == nil {
		v.History = h.Deployments[:min(len(h.Deployments), MaxHistory)]
	} else {
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		v.Problem = err.Error()
	}
	return v
}

// Text is the manifest of a revision of the history or, without one, that which the
// agent is to apply. Errors: errdefs.NotFound, InvalidArgument, DataLoss.
func (k *Keeper) Text(revision string) ([]byte, error) {
	if revision != "" {
		return k.Folders.Text(revision)
	}
	text, err := k.Manifest()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no manifest: %w", errdefs.ErrNotFound)
	}
	return text, err
}

// Put gives the agent a manifest and values of its variables. before, when it is not
// nil, is the revision that the caller took for the present one: another is
// errdefs.Conflict. What is applied already is not written again, and changed is false;
// what failed is, since that is how it gets another try. The text is not read: what a
// manifest is, is the agent's to say. Further errors: errdefs.InvalidArgument,
// ResourceExhausted.
func (k *Keeper) Put(text []byte, given map[string]string, before *string) (revision string, changed bool, err error) {
	switch {
	case len(text) == 0:
		return "", false, fmt.Errorf("the manifest is empty: %w", errdefs.ErrInvalidArgument)
	case len(text) > MaxFile:
		return "", false, fmt.Errorf("the manifest is larger than %d bytes: %w", MaxFile, errdefs.ErrInvalidArgument)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	have, revision := k.Look(), Revision(text)
	if before != nil && *before != have.Revision {
		return "", false, fmt.Errorf("the deployment is another than you have seen, somebody changed it meanwhile: look again: %w", errdefs.ErrConflict)
	}
	secrets, err := k.Secrets()
	if err != nil {
		return "", false, err
	}
	known := true
	for name, value := range given {
		had, ok := secrets[name]
		known = known && ok && had == value
	}
	if s := have.Status; known && have.Revision == revision && s != nil && s.Revision == revision && s.Phase == Applied {
		return revision, false, nil
	}
	return revision, true, k.Write(text, given)
}
