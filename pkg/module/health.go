package module

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/peer"
)

// HealthStatus is what a module's health checks say of its current run.
type HealthStatus string

// The words for it, which are Docker's.
const (
	Starting  HealthStatus = "starting"
	Healthy   HealthStatus = "healthy"
	Unhealthy HealthStatus = "unhealthy"
)

// maxChecks is how many outcomes are kept, as Docker does.
const maxChecks = 5

// CheckResult is the outcome of one health check.
type CheckResult struct {
	Begin, End time.Time
	Probed
}

// Health is what is known of one run's health.
type Health struct {
	Status HealthStatus
	// Streak counts the failures since the last success that count.
	Streak int
	// Checks are the last outcomes, the newest last.
	Checks []CheckResult
}

// health is the Health of a run that goes on. It belongs to the worker.
type health struct {
	Health
	check HealthCheck
	began time.Time
}

func newHealth(check *HealthCheck, began time.Time) *health {
	return &health{check: *check, began: began, Health: Health{Status: Starting}}
}

// note takes the outcome of a check into account. Docker's rule: one success makes it
// healthy; failures of a module that is still starting do not count.
func (h *health) note(r CheckResult) {
	h.Checks = append(h.Checks, r)
	if len(h.Checks) > maxChecks {
		h.Checks = slices.Clone(h.Checks[len(h.Checks)-maxChecks:])
	}
	switch {
	case r.Code == 0:
		h.Status, h.Streak = Healthy, 0
	case h.starts(r.Begin):
	default:
		if h.Streak++; h.Streak >= h.check.Retries {
			h.Status = Unhealthy
		}
	}
}

// starts says whether a module may still fail. A clock that was set back gives it no
// more time.
func (h *health) starts(at time.Time) bool {
	ran := at.Sub(h.began)
	return h.Status == Starting && ran >= 0 && ran < h.check.StartPeriod
}

// wait is how long to wait before the next check.
func (h *health) wait(now time.Time) time.Duration {
	if h.starts(now) {
		return h.check.StartInterval
	}
	return h.check.Interval
}

// words are what a status says beside "running". What a check printed is not in it:
// other modules may read it.
func (h *health) words() string {
	switch {
	case h == nil:
		return ""
	case h.Status == Starting:
		return " (health: starting)"
	case h.Status == Healthy:
		return " (healthy)"
	}
	last := &h.Checks[len(h.Checks)-1]
	switch {
	case last.TimedOut:
		return fmt.Sprintf(" (unhealthy: the check took longer than %s)", h.check.Timeout)
	case last.Code < 0:
		return " (unhealthy: the check cannot be run)"
	}
	return fmt.Sprintf(" (unhealthy: the check ended with exit code %d)", last.Code)
}

// picture is what readers see.
func (h *health) picture() *Health {
	if h == nil {
		return nil
	}
	p := h.Health
	p.Checks = slices.Clone(p.Checks)
	return &p
}

// beginHealth starts the checks of the run that has begun, or was taken up.
func (w *worker) beginHealth(check *HealthCheck, known bool) {
	w.endHealth()
	if known && check == nil {
		return
	}
	ctx, cancel := context.WithCancel(w.s.ctx)
	in, began := w.instance, w.rec.Start
	if check != nil {
		w.health = newHealth(check, began)
	}
	if !w.s.goes(func() { w.watchHealth(ctx, in, check, began) }) {
		cancel()
		return
	}
	w.unwatch = cancel
}

// endHealth ends them, because the run has.
func (w *worker) endHealth() {
	if w.unwatch != nil {
		w.unwatch()
	}
	w.health, w.unwatch = nil, nil
}

// watchHealth checks one run until it ends. It is not the worker's goroutine: a check
// may take long, and a stop must not wait for it.
func (w *worker) watchHealth(ctx context.Context, in *peer.Instance, check *HealthCheck, began time.Time) {
	select {
	case <-w.s.reconciled: // what runs is known by then, and the engine is not asked for more than it must
	case <-ctx.Done():
		return
	}
	var wait time.Duration
	if check == nil {
		if check = w.askHealth(ctx, in.ContainerID); check == nil {
			return
		}
		// It ran while nobody looked: soon.
		wait = min(check.Interval, check.StartInterval)
		if !w.tell(ctx, func() { w.adoptHealth(in, newHealth(check, began)) }) {
			return
		}
	} else {
		wait = newHealth(check, began).wait(time.Now())
	}
	for pause(ctx, wait) {
		result, says := w.checkOnce(ctx, in.ContainerID, check)
		if ctx.Err() != nil {
			return
		}
		if !says {
			continue
		}
		if !w.tellErr(ctx, func(jctx context.Context) error {
			if w.instance != in || w.health == nil {
				return nil
			}
			err := w.checked(jctx, result)
			if w.health != nil {
				wait = w.health.wait(time.Now())
			}
			return err
		}) {
			return
		}
	}
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// askHealth asks the engine how a container is checked, again and again while it is away.
func (w *worker) askHealth(ctx context.Context, id string) *HealthCheck {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		check, err := w.s.Engine.Health(ctx, id)
		if err == nil || errdefs.IsNotFound(err) {
			return check
		}
		w.s.Log.WithError(err).WithField("module", w.name).Debug("cannot learn how a module's health is checked")
		if !pause(ctx, wait) {
			return nil
		}
	}
}

// checkOnce makes one check. says is false when it says nothing of the module: the
// engine is away, or the run is over.
func (w *worker) checkOnce(ctx context.Context, id string, check *HealthCheck) (r CheckResult, says bool) {
	r.Begin = time.Now()
	var err error
	r.Probed, err = w.s.Engine.Probe(ctx, id, check.Args, check.Timeout)
	r.End = time.Now()
	switch {
	case err == nil:
		return r, true
	case errdefs.IsUnavailable(err), errdefs.IsNotFound(err), ctx.Err() != nil:
		w.s.Log.WithError(err).WithField("module", w.name).Debug("a health check was not made")
		return r, false
	}
	r.Probed = Probed{Code: -1, Output: err.Error()}
	return r, true
}

// tell runs fn in the worker and waits for it; false when the run is over.
func (w *worker) tell(ctx context.Context, fn func()) bool {
	return w.tellErr(ctx, func(context.Context) error { fn(); return nil })
}

func (w *worker) tellErr(ctx context.Context, fn func(context.Context) error) bool {
	done, err := w.s.submit(w.name, false, func(jctx context.Context, own *worker, _ func(error)) error {
		if own != w || ctx.Err() != nil {
			return nil
		}
		return fn(jctx)
	})
	if err != nil {
		return false
	}
	select {
	case err := <-done:
		if err != nil {
			w.s.Log.WithError(err).WithField("module", w.name).Warn("cannot act on a health check; the next one will")
		}
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// adoptHealth begins with the checks of a run that was taken up.
func (w *worker) adoptHealth(in *peer.Instance, h *health) {
	if w.instance == in {
		w.health = h
		w.publish()
	}
}

// checked takes the outcome of a check into account and restarts a module that is
// unhealthy and has asked for it.
func (w *worker) checked(ctx context.Context, r CheckResult) error {
	was, said := w.health.Status, w.health.words()
	w.health.note(r)
	now := w.health.Status
	log := w.s.Log.WithField("module", w.name)
	if now != was {
		if now == Unhealthy {
			log.WithField("output", r.Output).Warnf("the module is%s", w.health.words())
		} else {
			log.Infof("the module is %s", now)
		}
	}
	if now != was || w.health.words() != said {
		w.publish()
	}
	if now != Unhealthy || r.Code == 0 || !w.policy().restartsUnhealthy() {
		return nil
	}
	exit, err := w.endTask(ctx)
	if err != nil {
		return fmt.Errorf("cannot stop an unhealthy module: %w", err)
	}
	return w.died(ctx, exit, "stopped because it was unhealthy")
}
