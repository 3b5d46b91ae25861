package module

import (
	"context"
	"time"
)

// dispatch gives an engine's event to the module's worker.
func (s *Supervisor) dispatch(ev Event) {
	s.mu.Lock()
	var owner *worker
	for _, w := range s.workers {
		if w.base == baseOf(ev.ContainerID) {
			owner = w
			break
		}
	}
	s.mu.Unlock()
	if owner == nil {
		return
	}
	if ev.Exit != nil {
		select {
		case owner.exits <- ev:
		default: // nobody waits; the job below sees to it
		}
	}
	_, err := s.submit(owner.name, false, func(ctx context.Context, w *worker, _ func(error)) error {
		return w.onEvent(ctx, ev)
	})
	if err != nil {
		s.Log.WithError(err).WithField("module", owner.name).Warn("cannot queue an event; the next comparison with the engine will find it")
	}
}

// onEvent handles the end of a run that nobody asked for.
func (w *worker) onEvent(ctx context.Context, ev Event) error {
	if w.rec == nil || !w.concerns(ev) {
		return nil // an operation has seen to it already
	}
	if ev.OOM {
		w.oom = true
		return nil
	}
	return w.died(ctx, ev.Exit, "exited")
}

// died records a run that ended by itself, removes its task, and lets the restart policy decide.
func (w *worker) died(ctx context.Context, exit *Exit, note string) error {
	id := w.instance.ContainerID
	if err := w.ended(ctx, exit, note); err != nil {
		// The end is not on the disk: keep the task, which holds the code, and try again.
		w.s.Log.WithError(err).WithField("module", w.name).Error("cannot record the end of a run")
		w.later(time.Second, func(ctx context.Context, w *worker) error { return w.recheck(ctx) })
		return err
	}
	w.applyPolicy()
	w.publish()
	if err := w.deleteTask(ctx, id); err != nil {
		w.s.Log.WithError(err).WithField("module", w.name).Warn("cannot remove an ended task; the next start will")
	}
	return nil
}

// concerns says whether an event is about the run that the worker knows of. The
// process id matters: a restart runs in the same container.
func (w *worker) concerns(ev Event) bool {
	return w.instance != nil && w.instance.ContainerID == ev.ContainerID && (ev.OOM || w.instance.PID == ev.PID)
}

// applyPolicy starts the module again, later, or ends its run for good.
func (w *worker) applyPolicy() {
	if w.rec.Wanted && w.policy().Wants(w.rec.Exit, w.rec.Restarts) {
		w.retryLater(w.rec.Start)
		return
	}
	w.setRun(false)
}

// policy is the module's own; edgeAgent is always kept running.
func (w *worker) policy() RestartPolicy {
	if w.name == AgentName && !w.life.Restart.restartsUnhealthy() {
		return RestartPolicy{Name: "always"}
	}
	return w.life.Restart
}

// retryLater sets the timer of the next start. began is when the last run did;
// zero when it did not come about.
func (w *worker) retryLater(began time.Time) {
	ran := time.Duration(0)
	if !began.IsZero() && w.rec.Exit != nil && !w.rec.Exit.Time.IsZero() {
		ran = w.rec.Exit.Time.Sub(began)
	}
	wait := w.backoff.after(ran)
	w.later(wait, func(ctx context.Context, w *worker) error {
		if w.instance != nil || !w.rec.Wanted {
			return nil
		}
		w.rec.Restarts++
		w.s.restarts.Add(1)
		if err := w.launch(ctx, &w.rec.Current); err != nil {
			w.s.Log.WithError(err).WithField("module", w.name).Warn("cannot restart module")
			w.note = "cannot restart: " + err.Error()
			w.retryLater(time.Time{})
		}
		w.publish()
		return nil
	})
	w.note += "; restart due in " + wait.String()
}

// later runs fn in the worker after a while, unless something else happens to the module first.
func (w *worker) later(wait time.Duration, fn func(context.Context, *worker) error) {
	w.cancelRestart()
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		_, _ = w.s.submit(w.name, false, func(ctx context.Context, w *worker, _ func(error)) error {
			if w.rec == nil || w.restart != timer {
				return nil
			}
			w.restart, w.again = nil, false
			return fn(ctx, w)
		})
	})
	w.restart = timer
}
