package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/module"
)

// Times says how long things may take. The zero value is the defaults.
type Times struct {
	// Healthy is how long a module has to become healthy, by default DefaultHealthy.
	Healthy time.Duration
	// Stable is how long a module without a health check has to run without a restart to
	// count as healthy, by default DefaultStable.
	Stable time.Duration
	// Look is how often modules are looked at while they are waited for, by default half a second.
	Look time.Duration
}

// Defaults of Times.
const (
	DefaultHealthy = 5 * time.Minute
	DefaultStable  = 10 * time.Second
	defaultLook    = 500 * time.Millisecond
)

func (t Times) withDefaults() Times {
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{{&t.Healthy, DefaultHealthy}, {&t.Stable, DefaultStable}, {&t.Look, defaultLook}} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	return t
}

// sight is a run of a module that is being looked at.
type sight struct {
	start string
	since time.Duration // on the clock of the waiting
}

// await waits until modules are well, and returns those that are not when their time
// is over. At the end of a deployment (whole) a module without a health check has to
// run for a while; between two startup orders it is enough that it runs. Time in which
// edged gives no answer does not count.
func (r *Reconciler) await(ctx context.Context, modules []*manifest.Module, whole bool) map[string]error {
	failed := map[string]error{}
	open := make(map[string]*manifest.Module, len(modules))
	for _, m := range modules {
		open[m.Spec.Name] = m
		r.Progress.set(m.Spec.Name, "waiting", nil)
	}
	seen := map[string]sight{}
	var waited time.Duration
	for last := time.Now(); len(open) > 0; {
		have, err := r.list(ctx)
		now := time.Now()
		if err == nil {
			waited += min(now.Sub(last), 2*r.times.Look)
			for name, m := range open {
				well, err := r.judge(m, have[name], seen, waited, whole)
				if err == nil && !well && waited >= r.times.Healthy {
					err = &unhealthyError{fmt.Sprintf("not healthy within %s: %s", r.times.Healthy, describe(have[name]))}
				}
				if well || err != nil {
					delete(open, name)
					r.Progress.set(name, "", err)
				}
				if err != nil {
					failed[name] = err
				}
			}
		}
		last = now
		if len(open) == 0 || len(failed) > 0 && whole {
			break
		}
		select {
		case <-time.After(r.times.Look):
		case <-ctx.Done():
			for name := range open {
				failed[name] = context.Cause(ctx)
			}
			return failed
		}
	}
	return failed
}

// judge says whether a module is well. An error is final: it will not be.
func (r *Reconciler) judge(m *manifest.Module, is *wire.Module, seen map[string]sight, now time.Duration, whole bool) (bool, error) {
	if is == nil {
		return false, nil
	}
	status := &is.Status
	switch module.Runtime(status.RuntimeStatus.Status) {
	case module.Running:
	case module.Stopped:
		// What does its work and ends well is not to run for ever.
		return !m.KeepUp && status.ExitStatus != nil && status.ExitStatus.StatusCode == "0", nil
	case module.Failed, module.Dead:
		if m.Policy == "no" && status.ExitStatus != nil {
			return false, &unhealthyError{"it ended with exit code " + status.ExitStatus.StatusCode}
		}
		return false, nil
	default:
		return false, nil
	}
	switch health := module.HealthStatus(status.RuntimeStatus.Health); {
	case health == module.Healthy:
		return true, nil
	case health != "":
		return false, nil
	case !whole:
		return true, nil
	}
	s, ok := seen[is.Name]
	if !ok || s.start != status.StartTime {
		s = sight{status.StartTime, now}
		seen[is.Name] = s
	}
	if now-s.since >= r.times.Stable {
		return true, nil
	}
	// It may have run before this was looked at. A clock that was set gives no more than that.
	began, err := time.Parse(time.RFC3339Nano, status.StartTime)
	return err == nil && time.Since(began) >= r.times.Stable, nil
}

func describe(is *wire.Module) string {
	if is == nil {
		return "there is no such module"
	}
	text := "it is " + is.Status.RuntimeStatus.Status
	if is.Status.RuntimeStatus.Description != "" {
		text += " (" + is.Status.RuntimeStatus.Description + ")"
	}
	return text
}

// list returns the modules by name and keeps them for who asks for Progress.
func (r *Reconciler) list(ctx context.Context) (map[string]*wire.Module, error) {
	have, err := r.api.List(ctx)
	if err != nil {
		return nil, err
	}
	r.Progress.saw(have)
	byName := make(map[string]*wire.Module, len(have))
	for i := range have {
		byName[have[i].Name] = &have[i]
	}
	return byName, nil
}

// tidy removes identities that this agent made for modules that no longer shall be. It
// waits until a deployment is a good one: an identity that is made again has another
// generation, and what its module encrypted is lost.
func (r *Reconciler) tidy(ctx context.Context, d *manifest.Deployment) error {
	wanted := make(map[string]bool, len(d.Modules))
	for i := range d.Modules {
		wanted[d.Modules[i].Spec.Name] = true
	}
	all, err := r.api.Identities(ctx)
	if err != nil {
		return fmt.Errorf("cannot list identities: %w", err)
	}
	for _, id := range all {
		name, err := module.CanonicalName(id.ModuleID)
		if err != nil || wanted[name] || id.ManagedBy != Manager || name == module.AgentName {
			continue
		}
		if err := r.api.DeleteIdentity(ctx, id.ModuleID); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("cannot remove identity of %s: %w", name, err)
		}
		r.say("removed the identity of module %s", name)
	}
	return nil
}
