package module

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
)

// OSGiHost is the module in which edged runs the OSGi framework.
const OSGiHost = "osgiHost"

// System says whether a module is edged's own: its name is reserved, and List does not have it.
func System(name string) bool { return name == OSGiHost }

// reserved keeps callers from making, changing and deleting edged's own modules. The error
// is errdefs.InvalidArgument.
func reserved(name string) error {
	if bare, err := CanonicalName(name); err == nil && System(bare) {
		return fmt.Errorf("the module name %q is reserved for edged's own: %w", bare, errdefs.ErrInvalidArgument)
	}
	return nil
}

// KeepSystem makes one of edged's own modules be as spec says, and run: it is created when
// it is absent, updated when spec or the image that its name means have changed, and started
// when it does not run, unless a host user stopped it. Errors: those of Create, Update and Start.
func (s *Supervisor) KeepSystem(ctx context.Context, spec Spec, imageDigest string) error {
	if err := spec.Validate(); err != nil {
		return err
	}
	state, err := s.Get(ctx, spec.Name)
	switch {
	case errdefs.IsNotFound(err):
		if _, err := s.create(ctx, spec); err != nil {
			return err
		}
	case err != nil:
		return err
	case s.Held(spec.Name):
		return nil
	case state.Spec.Digest() != spec.Digest() || imageDigest != "" && state.ImageDigest != imageDigest:
		_, err := s.update(ctx, spec, true, nil)
		return err
	case state.Wanted:
		return nil // its restart policy keeps it running
	}
	return s.Start(ctx, spec.Name)
}

// RestSystem makes one of edged's own modules not run; one that is absent is none that runs.
func (s *Supervisor) RestSystem(ctx context.Context, name string) error {
	state, err := s.Get(ctx, name)
	if errdefs.IsNotFound(err) || err == nil && !state.Wanted {
		return nil
	}
	if err != nil {
		return err
	}
	return s.Stop(ctx, name, false)
}

// Held says that a host user stopped a module that edged keeps running.
func (s *Supervisor) Held(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.workers[name]
	return w != nil && w.held.Load()
}
