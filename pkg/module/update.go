package module

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
)

// Update replaces a module's spec: generation N+1 is made beside N, then they
// are switched, and N runs again if N+1 does not start. answered is given when the
// module asks for its own update, and closed once the answer is on its way: only then
// comes the switch, which ends the asker. It is nil for every other asker.
// Errors: InvalidArgument, NotFound, Unavailable, and whatever keeps N+1 from starting.
func (s *Supervisor) Update(ctx context.Context, spec Spec, start bool, answered <-chan struct{}) (*State, error) {
	if err := reserved(spec.Name); err != nil {
		return nil, err
	}
	return s.update(ctx, spec, start, answered)
}

func (s *Supervisor) update(ctx context.Context, spec Spec, start bool, answered <-chan struct{}) (*State, error) {
	life, err := s.check(&spec)
	if err != nil {
		return nil, err
	}
	if _, err := s.Get(ctx, spec.Name); err != nil {
		return nil, err
	}
	return s.accepted(ctx, func(ctx context.Context) (*State, error) {
		defer s.hold(&spec)()
		image, err := s.pull(ctx, &spec)
		if err != nil {
			return nil, err
		}
		err = s.do(ctx, spec.Name, false, func(ctx context.Context, w *worker, answer func(error)) error {
			if !w.whole() {
				return notFound(spec.Name)
			}
			if w.rec.Phase == PhaseUpdating {
				// An update that could not be written to its end: N+1 may be what runs.
				if err := w.settleUpdate(ctx); err != nil {
					return err
				}
			}
			next := &Generation{Number: w.rec.Current.Number + 1, Spec: spec, ImageDigest: image.Digest, Created: time.Now().UTC()}
			return w.update(ctx, next, life, start, answered, answer)
		})
		if err != nil {
			return nil, err
		}
		return s.Get(ctx, spec.Name)
	})
}

func (w *worker) update(ctx context.Context, next *Generation, life Lifecycle, start bool, answered <-chan struct{}, answer func(error)) error {
	rec := *w.rec
	rec.Phase, rec.Next = PhaseUpdating, next
	if err := w.s.Store.SaveModule(ctx, &rec); err != nil {
		return err
	}
	*w.rec = rec
	// gofail: var updateAfterIntent struct{}
	err := w.makeContainer(ctx, next)
	ctx, cancel := w.moreTime()
	defer cancel()
	if err != nil {
		return w.abandon(ctx, fmt.Errorf("cannot make generation %d: %w", next.Number, err))
	}
	// gofail: var updateAfterNext struct{}
	if answered != nil {
		answer(nil)
		await(ctx, answered)
	}
	ran, due := w.instance != nil, w.restart != nil
	w.cancelRestart()
	if ran {
		exit, err := w.endTask(ctx)
		if err == nil {
			err = w.leave(ctx, exit)
		}
		if err != nil {
			err = w.abandon(ctx, err)
			if w.instance == nil {
				w.resume(ctx, &w.rec.Current)
			}
			return err
		}
	} else if err := w.removeLeft(ctx); err != nil {
		return w.abandon(ctx, err)
	}
	// gofail: var updateAfterStop struct{}
	old, oldLife := w.rec.Current, w.life
	w.life = life
	if start {
		if err := w.launch(ctx, next); err != nil {
			w.life = oldLife
			w.note = fmt.Sprintf("generation %d did not start: %v", next.Number, err)
			err = w.abandon(ctx, fmt.Errorf("cannot start generation %d of module %q: %w", next.Number, w.name, err))
			switch {
			case ran:
				w.resume(ctx, &old)
			case due: // between two tries of its restart policy
				w.retryLater(time.Time{})
				w.publish()
			}
			return err
		}
	}
	// gofail: var updateAfterLaunch struct{}
	rec = *w.rec
	rec.Phase, rec.Current, rec.Next, rec.Wanted, rec.Restarts = PhaseReady, *next, nil, start, 0
	if rec.Exit != nil {
		exit := *rec.Exit
		exit.Resume = false
		rec.Exit = &exit
	}
	if err := w.s.Store.SaveModule(ctx, &rec); err != nil {
		return err
	}
	*w.rec = rec
	// gofail: var updateAfterCommit struct{}
	w.backoff.reset()
	w.note = ""
	w.setRun(w.instance != nil)
	w.publish()
	answer(nil)
	w.discard(ctx, old.Number)
	return nil
}

// answerTimeout is how long an asker may keep its own update waiting by not taking the answer.
const answerTimeout = 5 * time.Second

// await waits until an answer is on its way, within reason.
func await(ctx context.Context, answered <-chan struct{}) {
	limit := time.NewTimer(answerTimeout)
	defer limit.Stop()
	select {
	case <-answered:
	case <-limit.C:
	case <-ctx.Done():
	}
}

// leave ends the run of the generation that is being replaced. The record stays
// wanted, so that a crash in the middle starts the module again.
func (w *worker) leave(ctx context.Context, exit *Exit) error {
	id := w.instance.ContainerID
	exit.Resume = true
	if err := w.ended(ctx, exit, "replaced"); err != nil {
		return err
	}
	return w.deleteTask(ctx, id)
}

// abandon removes the next generation and returns cause.
func (w *worker) abandon(ctx context.Context, cause error) error {
	next := w.rec.Next.Number
	if err := w.deleteContainer(ctx, ContainerID(w.name, next)); err != nil && !errdefs.IsNotFound(err) {
		w.s.Log.WithError(err).WithField("module", w.name).Warn("cannot remove a generation that did not come up; the next start will")
	}
	rec := *w.rec
	rec.Phase, rec.Next = PhaseReady, nil
	if err := w.s.Store.SaveModule(ctx, &rec); err != nil {
		w.s.Log.WithError(err).WithField("module", w.name).Warn("cannot write the end of an update; the next start will")
	}
	*w.rec = rec
	w.publish()
	return cause
}

// resume starts the old generation again after the new one did not come up.
func (w *worker) resume(ctx context.Context, old *Generation) {
	note := w.note
	if err := w.launch(ctx, old); err != nil {
		w.s.Log.WithError(err).WithField("module", w.name).Error("cannot start the old generation again")
		w.note = note + "; the old one neither: " + err.Error()
		w.retryLater(time.Time{})
	}
	w.publish()
}

// discard removes the old generation's container; its log stays until the one
// after it is replaced.
func (w *worker) discard(ctx context.Context, old int64) {
	log := w.s.Log.WithField("module", w.name)
	if err := w.deleteContainer(ctx, ContainerID(w.name, old)); err != nil {
		log.WithError(err).Warn("cannot remove the old generation; the next start will")
	}
	if err := w.s.Logs.Prune(w.name, old, w.rec.Current.Number); err != nil {
		log.WithError(err).Warn("cannot remove logs of old generations")
	}
}
