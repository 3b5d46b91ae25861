package module

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
)

// Create makes a module that is not there yet, stopped. Errors: InvalidArgument
// for the spec, AlreadyExists, Unavailable.
func (s *Supervisor) Create(ctx context.Context, spec Spec) (*State, error) {
	if err := reserved(spec.Name); err != nil {
		return nil, err
	}
	return s.create(ctx, spec)
}

func (s *Supervisor) create(ctx context.Context, spec Spec) (*State, error) {
	life, err := s.check(&spec)
	if err != nil {
		return nil, err
	}
	// Asked twice: here, so that a module that exists is refused before a pull that
	// may take an hour, and in the worker, where it counts.
	if _, err := s.Get(ctx, spec.Name); err == nil {
		return nil, exists(spec.Name)
	}
	return s.accepted(ctx, func(ctx context.Context) (*State, error) {
		defer s.hold(&spec)()
		image, err := s.pull(ctx, &spec)
		if err != nil {
			return nil, err
		}
		err = s.do(ctx, spec.Name, true, func(ctx context.Context, w *worker, _ func(error)) error {
			return w.create(ctx, spec, life, image)
		})
		if err != nil {
			return nil, err
		}
		return s.Get(ctx, spec.Name)
	})
}

// Prepare makes the image of a spec be there, and nothing else.
func (s *Supervisor) Prepare(ctx context.Context, spec Spec) error {
	if err := reserved(spec.Name); err != nil {
		return err
	}
	if _, err := s.check(&spec); err != nil {
		return err
	}
	_, err := s.accepted(ctx, func(ctx context.Context) (*State, error) {
		defer s.hold(&spec)()
		_, err := s.pull(ctx, &spec)
		return nil, err
	})
	return err
}

// Check says whether a spec would be accepted, and does nothing. Errors: InvalidArgument, and
// whatever keeps its secrets from being looked at.
func (s *Supervisor) Check(spec Spec) error {
	if err := reserved(spec.Name); err != nil {
		return err
	}
	_, err := s.check(&spec)
	return err
}

func (s *Supervisor) check(spec *Spec) (Lifecycle, error) {
	if err := spec.Validate(); err != nil {
		return Lifecycle{}, err
	}
	if err := s.Secrets.Check(spec.Name, spec.Secrets); err != nil {
		return Lifecycle{}, err
	}
	return s.Engine.Check(spec)
}

// accepted runs what an accepted request began, to its end, and waits for it as
// long as the client does: the work has an owner and a deadline of its own.
func (s *Supervisor) accepted(ctx context.Context, work func(ctx context.Context) (*State, error)) (*State, error) {
	type result struct {
		state *State
		err   error
	}
	done := make(chan result, 1)
	if !s.goes(func() {
		ctx, cancel := context.WithTimeout(s.ctx, pullTimeout+operationTimeout)
		defer cancel()
		state, err := work(ctx)
		done <- result{state, err}
	}) {
		return nil, fmt.Errorf("edged is stopping: %w", errdefs.ErrUnavailable)
	}
	select {
	case r := <-done:
		return r.state, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the client left, the work goes on: %w", context.Cause(ctx))
	}
}

// pull runs outside the module's queue: the generation that runs meanwhile keeps
// its restart policy, however long the registry takes.
func (s *Supervisor) pull(ctx context.Context, spec *Spec) (Image, error) {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	image, err := s.Engine.EnsureImage(ctx, spec.Image, spec.PullPolicy, spec.Auth)
	if err == nil {
		err = s.Store.TouchImage(ctx, image.Ref, image.Digest)
	}
	return image, err
}

func exists(name string) error {
	return fmt.Errorf("module %q already exists: %w", name, errdefs.ErrAlreadyExists)
}

// create writes the intent, makes the container, and writes that it is whole. A
// crash in between leaves PhaseCreating, which the next start undoes: nobody was answered.
func (w *worker) create(ctx context.Context, spec Spec, life Lifecycle, image Image) error {
	if err := w.settleRemains(ctx); err != nil {
		return err
	}
	if w.rec != nil {
		return exists(w.name)
	}
	rec := &Record{Name: w.name, Phase: PhaseCreating, Current: Generation{
		Number: 1, Spec: spec, ImageDigest: image.Digest, Created: time.Now().UTC(),
	}}
	if err := w.s.Store.SaveModule(ctx, rec); err != nil {
		return err
	}
	// gofail: var createAfterIntent struct{}
	err := w.makeContainer(ctx, &rec.Current)
	ctx, cancel := w.moreTime()
	defer cancel()
	// gofail: var createAfterContainer struct{}
	if err == nil {
		rec.Phase = PhaseReady
		err = w.s.Store.SaveModule(ctx, rec)
	}
	if err != nil {
		if left := w.undoCreate(ctx, rec); left != nil {
			w.s.Log.WithError(left).WithField("module", w.name).Warn("something is left of a module that could not be made")
		}
		return err
	}
	// gofail: var createAfterCommit struct{}
	w.rec, w.life = rec, life
	w.note, w.broken = "", false
	w.publish()
	return nil
}

// settleRemains finishes what a failed delete or a crash left of a module that
// nobody can see any more, so that its name is free.
func (w *worker) settleRemains(ctx context.Context) error {
	if w.rec == nil || w.whole() {
		return nil
	}
	if w.rec.Phase == PhaseDeleting {
		return w.removeRest(ctx)
	}
	return w.undoCreate(ctx, w.rec)
}

// undoCreate removes what a failed create left. If that fails too, the record
// keeps PhaseCreating, and it is tried again, by the next start at the latest.
func (w *worker) undoCreate(ctx context.Context, rec *Record) error {
	w.cancelRestart()
	err := w.deleteContainer(ctx, ContainerID(rec.Name, rec.Current.Number))
	if err == nil {
		err = w.s.Engine.Forget(ctx, rec.Name)
	}
	if err == nil {
		err = w.s.Sockets.Remove(rec.Name)
	}
	if err == nil {
		err = w.s.Store.DeleteModule(ctx, rec.Name)
	}
	if err != nil {
		w.rec = rec
		w.laterAgain(false)
		return fmt.Errorf("cannot undo a create that failed, trying again: %w", err)
	}
	w.rec = nil
	return nil
}

// moreTime is for what follows makeContainer, which may have taken all of its operation's time.
func (w *worker) moreTime() (context.Context, context.CancelFunc) {
	return context.WithTimeout(w.s.ctx, operationTimeout)
}

// makeContainer makes the container of a generation. It has a deadline of its own.
func (w *worker) makeContainer(ctx context.Context, g *Generation) error {
	id, generationID, err := w.s.Identities.EnsureIdentity(ctx, w.name)
	if err != nil {
		return err
	}
	var mounts []Mount
	var groups []uint32
	if w.s.Extra != nil {
		mounts, groups = w.s.Extra(w.name)
	}
	containerID := ContainerID(w.name, g.Number)
	mounts = slices.Concat(mounts, w.s.Secrets.Mounts(containerID, g.Spec.Secrets))
	ctx, cancel := context.WithTimeout(w.s.ctx, makeTimeout)
	defer cancel()
	return w.s.Engine.Create(ctx, Container{
		ID:         containerID,
		Generation: g.Number,
		SpecDigest: g.Spec.Digest(),
		Spec:       g.Spec,
		Defaults:   w.s.Identity.defaults(),
		Identity:   w.s.Identity.environment(id, generationID, wantsManagement(&g.Spec)),
		Sockets:    w.s.Sockets.Dir(w.name),
		Mounts:     mounts,
		Groups:     groups,
	})
}
