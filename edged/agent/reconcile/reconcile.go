// Package reconcile makes a device match a deployment, through the management API
// alone. What is to be done is planned from three things: what shall be, what edged
// says is, and what this agent remembers to have done.
package reconcile

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/module"
)

// Manager is by whom identities are managed that this agent makes.
const Manager = "edgeAgent"

// API is the part of the management API that the agent uses; *client.Client is one.
type API interface {
	List(ctx context.Context) ([]wire.Module, error)
	Create(ctx context.Context, spec wire.ModuleSpec) (*wire.Module, error)
	Update(ctx context.Context, spec wire.ModuleSpec, start bool) (*wire.Module, error)
	Delete(ctx context.Context, name string) error
	Prepare(ctx context.Context, spec wire.ModuleSpec) error
	Start(ctx context.Context, name string) error
	Stop(ctx context.Context, name string) error
	Identities(ctx context.Context) ([]wire.Identity, error)
	CreateIdentity(ctx context.Context, moduleID, managedBy string) (*wire.Identity, error)
	DeleteIdentity(ctx context.Context, moduleID string) error
}

// Reconciler applies deployments, one at a time.
type Reconciler struct {
	// Progress says what is done at the moment.
	Progress Progress

	api    API
	memory *Memory
	times  Times
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
func New(api API, memory *Memory, times Times, say func(format string, args ...any)) *Reconciler {
	if memory.Modules == nil {
		memory.Modules = map[string]Done{}
	}
	return &Reconciler{api: api, memory: memory, times: times.withDefaults(), say: say, refused: map[string]refusal{}}
}

// How says in which circumstances a deployment is applied.
type How struct {
	// Fallback says that there is a good deployment to go back to: the first module that
	// cannot be as it shall ends the try. Without it the others get their change all the same.
	Fallback bool
	// Good says that the deployment was a good one before. Images that are on the device
	// are used as they are, nothing is waited for but the startup order, and nobody is judged.
	Good bool
}

// Apply makes the device match a deployment, as far as it can. First modules get their
// identities, and edged fetches and checks everything that is new: when one thing of that
// fails no module is changed. Then modules are changed in the startup order, each order
// waiting for the one before, and those that were changed have to become healthy. The
// error is a *Failure.
func (r *Reconciler) Apply(ctx context.Context, d *manifest.Deployment, how How) error {
	r.Progress.Reset()
	if _, err := r.list(ctx); err != nil {
		return &Failure{Cause: fmt.Errorf("cannot list modules: %w", err)}
	}
	have, _, _, _ := r.Progress.Snapshot()
	steps := plan(d, have, r.memory)
	if err := r.identities(ctx, d); err != nil {
		return &Failure{Cause: err}
	}
	if err := r.prepare(ctx, steps, how); err != nil {
		return err
	}
	for _, s := range steps {
		if s.kind != note {
			r.begin(d.Revision)
			break
		}
	}
	if err := r.change(ctx, steps, how); err != nil {
		return err
	}
	if !how.Good {
		if err := failure(steps, r.await(ctx, r.unproven(d), true)); err != nil {
			return err
		}
	}
	r.finish(d.Revision)
	if how.Good {
		if err := r.tidy(ctx, d); err != nil {
			return &Failure{Cause: err}
		}
	}
	return nil
}

// identities makes those that are missing, before any module could be without.
func (r *Reconciler) identities(ctx context.Context, d *manifest.Deployment) error {
	all, err := r.api.Identities(ctx)
	if err != nil {
		return fmt.Errorf("cannot list identities: %w", err)
	}
	known := make(map[string]bool, len(all))
	for _, id := range all {
		if name, err := module.CanonicalName(id.ModuleID); err == nil {
			known[name] = true
		}
	}
	for i := range d.Modules {
		m := &d.Modules[i]
		if known[m.Spec.Name] {
			continue
		}
		if _, err := r.api.CreateIdentity(ctx, m.Identity, Manager); err != nil {
			return fmt.Errorf("cannot make identity of module %s: %w", m.Spec.Name, err)
		}
	}
	return nil
}

// prepare lets edged fetch and check everything that is new.
func (r *Reconciler) prepare(ctx context.Context, steps []step, how How) error {
	failed := map[string]error{}
	for i := range steps {
		s := &steps[i]
		if s.spec == nil || r.wasRefused(*s) != nil {
			continue
		}
		r.Progress.set(s.name, "preparing", nil)
		err := r.prepareOne(ctx, s, how)
		if err != nil {
			failed[s.name] = fmt.Errorf("cannot prepare: %w", err)
			r.Progress.set(s.name, "", failed[s.name])
			if ends(ctx, err) {
				break
			}
			continue
		}
		r.Progress.set(s.name, "prepared", nil)
	}
	return failure(steps, failed)
}

func (r *Reconciler) prepareOne(ctx context.Context, s *step, how How) error {
	if how.Good {
		// What it was made from is most likely still here; a registry may say no by now, or
		// give another image under the same name.
		here := *s.spec
		here.ImagePullPolicy = string(module.PullNever)
		if err := r.api.Prepare(ctx, here); err == nil || ends(ctx, err) {
			s.spec = &here
			return err
		}
	}
	return r.api.Prepare(ctx, *s.spec)
}

// change takes the steps, one startup order after the other.
func (r *Reconciler) change(ctx context.Context, steps []step, how How) error {
	all, failed := steps, map[string]error{}
	for len(steps) > 0 {
		n := 1
		for n < len(steps) && steps[n].order() == steps[0].order() {
			n++
		}
		var started []*manifest.Module
		for _, s := range steps[:n] {
			if err := r.take(ctx, s); err != nil {
				failed[s.name] = err
				r.Progress.set(s.name, "", err)
				if ends(ctx, err) || how.Fallback && final(err) {
					return failure(all, failed)
				}
				continue
			}
			r.Progress.set(s.name, "", nil)
			if s.run && s.kind != note {
				started = append(started, s.module)
			}
		}
		if steps = steps[n:]; len(steps) == 0 {
			break
		}
		for name, err := range r.await(ctx, started, false) {
			if how.Good && ctx.Err() == nil {
				r.say("module %s: %v; going on", name, err)
				continue
			}
			failed[name] = err
		}
		if ctx.Err() != nil || how.Fallback && len(failed) > 0 {
			return failure(all, failed)
		}
	}
	return failure(all, failed)
}

// unproven are the modules that have to show that they are healthy.
func (r *Reconciler) unproven(d *manifest.Deployment) []*manifest.Module {
	var modules []*manifest.Module
	for i := range d.Modules {
		if m := &d.Modules[i]; m.Run && r.memory.Modules[m.Spec.Name].Unproven {
			modules = append(modules, m)
		}
	}
	return modules
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
		r.Progress.set(s.name, "creating", nil)
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
	case update:
		return r.update(ctx, s)
	case start:
		return r.start(ctx, s)
	case stop:
		r.Progress.set(s.name, "stopping", nil)
		if err := r.api.Stop(ctx, s.name); err != nil {
			return fmt.Errorf("cannot stop: %w", err)
		}
		r.say("stopped module %s", s.name)
		r.remember(s.name, Done{Wish: s.wish, Made: s.made})
	case note:
		// It runs and this agent does not know why: it may have ended before it could note it.
		r.remember(s.name, Done{Wish: s.wish, Made: s.made, Run: s.run, Unproven: s.run})
	}
	return nil
}

func (r *Reconciler) remove(ctx context.Context, s step) error {
	r.Progress.set(s.name, "removing", nil)
	if err := r.api.Delete(ctx, s.name); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("cannot remove: %w", err)
	}
	r.say("removed module %s", s.name)
	delete(r.memory.Modules, s.name)
	r.memory.Save()
	return nil
}

func (r *Reconciler) update(ctx context.Context, s step) error {
	r.Progress.set(s.name, "updating", nil)
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
	r.remember(s.name, Done{Wish: s.wish, Made: digest(viewOf(m)), Run: s.run, Unproven: s.run})
	return nil
}

func (r *Reconciler) start(ctx context.Context, s step) error {
	r.Progress.set(s.name, "starting", nil)
	if err := r.api.Start(ctx, s.name); err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	r.say("started module %s", s.name)
	r.remember(s.name, Done{Wish: s.wish, Made: s.made, Run: true, Unproven: true})
	return nil
}
