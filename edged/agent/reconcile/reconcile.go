// Package reconcile makes a device match a deployment, through the management API
// alone. What is to be done is planned from three things: what shall be, what edged
// says is, and what this agent remembers to have done.
package reconcile

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

// API is the part of the management API that the agent uses; *client.Client is one.
type API interface {
	List(ctx context.Context) ([]wire.Module, error)
	Create(ctx context.Context, spec wire.ModuleSpec) (*wire.Module, error)
	Update(ctx context.Context, spec wire.ModuleSpec, start bool) (*wire.Module, error)
	Delete(ctx context.Context, name string) error
	Prepare(ctx context.Context, spec wire.ModuleSpec) error
	Start(ctx context.Context, name string) error
	Stop(ctx context.Context, name string) error
}

// Memory is what the agent remembers of what it did. Save is called after each
// change, so that an end at any moment forgets one at most. That it cannot be kept,
// on a full disk for one, is no reason to leave a device as it is: a forgotten start
// is repeated, nothing worse.
type Memory struct {
	// Revision is the one that was last applied to its end.
	Revision string          `json:"revision"`
	Modules  map[string]Done `json:"modules"`

	Save func() `json:"-"`
}

// Done is what was last done to a module.
type Done struct {
	// Wish is the digest of what the manifest asked for, Made of what edged said it
	// made of it. While both hold, the module is as it shall be, even if edged words
	// some of it in another way.
	Wish string `json:"wish"`
	Made string `json:"made"`
	// Run says that the module was told to run, or else to be stopped.
	Run bool `json:"run"`
}

// Reconciler applies deployments, one at a time.
type Reconciler struct {
	api    API
	memory *Memory
	say    func(format string, args ...any)
	// refused are updates that edged called wrong, by module. They are not tried
	// again: each try stops the module for a moment.
	refused map[string]refusal
}

type refusal struct {
	wish string
	err  error
}

// New returns a Reconciler; say is told of each change that it makes.
func New(api API, memory *Memory, say func(format string, args ...any)) *Reconciler {
	if memory.Modules == nil {
		memory.Modules = map[string]Done{}
	}
	return &Reconciler{api: api, memory: memory, say: say, refused: map[string]refusal{}}
}

// Failure says which modules are not as they shall be, and why. Modules is empty
// when the reason concerns none of them alone.
type Failure struct {
	Cause   error
	Modules map[string]error
}

func (f *Failure) Error() string { return f.Cause.Error() }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// Apply makes the device match a deployment, as far as it can. First it lets edged
// fetch and check everything that is new: when one thing of that fails nothing is
// changed. After that a module that fails does not keep the others from their change.
// The error is a *Failure.
func (r *Reconciler) Apply(ctx context.Context, d *manifest.Deployment) error {
	have, err := r.api.List(ctx)
	if err != nil {
		return &Failure{Cause: fmt.Errorf("cannot list modules: %w", err)}
	}
	steps := plan(d, have, r.memory)
	f := &Failure{Modules: map[string]error{}}
	for _, s := range steps {
		if s.spec == nil || r.wasRefused(s) != nil {
			continue
		}
		if err := r.api.Prepare(ctx, *s.spec); err != nil {
			f.Modules[s.name] = fmt.Errorf("cannot prepare: %w", err)
			if ends(ctx, err) {
				break
			}
		}
	}
	if len(f.Modules) == 0 {
		for _, s := range steps {
			if err := r.take(ctx, s); err != nil {
				f.Modules[s.name] = err
				if ends(ctx, err) {
					break
				}
			}
		}
	}
	if len(f.Modules) > 0 {
		f.Cause = first(steps, f.Modules)
		return f
	}
	if r.memory.Revision != d.Revision {
		r.memory.Revision = d.Revision
		r.memory.Save()
	}
	return nil
}

// ends says that there is no point in asking edged for more.
func ends(ctx context.Context, err error) bool {
	var gone *client.UnreachableError
	return ctx.Err() != nil || errors.As(err, &gone)
}

func first(steps []step, failed map[string]error) error {
	for _, s := range steps {
		if err := failed[s.name]; err != nil {
			return fmt.Errorf("module %s: %w", s.name, err)
		}
	}
	return errors.New("unknown failure")
}

func (r *Reconciler) wasRefused(s step) error {
	if no, ok := r.refused[s.name]; ok && s.kind == update && no.wish == s.wish {
		return no.err
	}
	return nil
}

// take does one step.
func (r *Reconciler) take(ctx context.Context, s step) error {
	if err := r.wasRefused(s); err != nil {
		return err
	}
	switch s.kind {
	case remove:
		return r.remove(ctx, s)
	case create:
		m, err := r.api.Create(ctx, *s.spec)
		if err != nil {
			return fmt.Errorf("cannot create: %w", err)
		}
		r.say("created module %s", s.name)
		s.made = digest(viewOf(m))
		r.remember(s.name, Done{Wish: s.wish, Made: s.made})
		if s.run {
			return r.start(ctx, s)
		}
		return nil
	case update:
		return r.update(ctx, s)
	case start:
		return r.start(ctx, s)
	case stop:
		if err := r.api.Stop(ctx, s.name); err != nil {
			return fmt.Errorf("cannot stop: %w", err)
		}
		r.say("stopped module %s", s.name)
		r.command(s, false)
	case note:
		r.command(s, s.run)
	}
	return nil
}

func (r *Reconciler) remove(ctx context.Context, s step) error {
	if err := r.api.Delete(ctx, s.name); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("cannot remove: %w", err)
	}
	r.say("removed module %s", s.name)
	delete(r.memory.Modules, s.name)
	r.memory.Save()
	return nil
}

func (r *Reconciler) update(ctx context.Context, s step) error {
	m, err := r.api.Update(ctx, *s.spec, s.run)
	if err != nil {
		err = fmt.Errorf("cannot update: %w", err)
		if errdefs.IsInvalidArgument(err) {
			r.refused[s.name] = refusal{s.wish, err}
		}
		return err
	}
	delete(r.refused, s.name)
	r.say("updated module %s", s.name)
	r.remember(s.name, Done{Wish: s.wish, Made: digest(viewOf(m)), Run: s.run})
	return nil
}

func (r *Reconciler) start(ctx context.Context, s step) error {
	if err := r.api.Start(ctx, s.name); err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	r.say("started module %s", s.name)
	r.command(s, true)
	return nil
}

// command remembers that the module was told to run, or to be stopped.
func (r *Reconciler) command(s step, run bool) {
	r.remember(s.name, Done{Wish: s.wish, Made: s.made, Run: run})
}

func (r *Reconciler) remember(name string, done Done) {
	if had, ok := r.memory.Modules[name]; ok && had == done {
		return
	}
	r.memory.Modules[name] = done
	r.memory.Save()
}
