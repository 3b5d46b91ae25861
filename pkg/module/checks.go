package module

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/peer"
)

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
		if !w.inWorker(ctx, func(context.Context) error { return w.adoptHealth(in, newHealth(check, began)) }) {
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
		if !w.inWorker(ctx, func(jctx context.Context) error {
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
		// A probe costs the device its start and end besides: no more than half the time goes to one.
		wait = max(wait, result.End.Sub(result.Begin))
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
	check, err := w.s.Engine.Health(ctx, id)
	for wait := time.Second; err != nil && !errdefs.IsNotFound(err); wait = min(2*wait, time.Minute) {
		w.s.Log.WithError(err).WithField("module", w.name).Debug("cannot learn how a module's health is checked")
		if !pause(ctx, wait) {
			break
		}
		check, err = w.s.Engine.Health(ctx, id)
	}
	return check
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

// inWorker runs fn in the worker's goroutine and waits for it; false when the run is over.
func (w *worker) inWorker(ctx context.Context, fn func(context.Context) error) bool {
	done, err := w.s.submit(w.name, false, func(jctx context.Context, own *worker, _ func(error)) error {
		if own == w && ctx.Err() == nil {
			return fn(jctx)
		}
		return nil
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
func (w *worker) adoptHealth(in *peer.Instance, h *health) error {
	if w.instance == in {
		w.health = h
		w.publish()
	}
	return nil
}

// checked takes the outcome of a check into account and restarts a module that is
// unhealthy and has asked for it.
func (w *worker) checked(ctx context.Context, r CheckResult) error {
	was, said := w.health.Status, w.health.words()
	w.health.note(r)
	now := w.health.Status
	log := w.s.Log.WithField("module", w.name)
	if now != was {
		if now == Unhealthy { // what it printed may be secret, and more people read the journal
			log.Warnf("the module is%s", w.health.words())
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
