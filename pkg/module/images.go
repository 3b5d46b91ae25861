package module

import (
	"context"
	"sync/atomic"
	"time"
)

// Images keeps images from being removed while an operation needs them.
type Images interface {
	// Hold keeps an image until release, which is called when a record in the store names
	// it or the operation has failed. It waits for a removal under way.
	Hold(ref string) (release func())
}

// hold keeps the image of a spec for the operation that is about to look for it.
func (s *Supervisor) hold(spec *Spec) (release func()) {
	if s.Images == nil {
		return func() {}
	}
	return s.Images.Hold(spec.Image)
}

// fetching is of the image of a container that is gone.
type fetching struct {
	busy atomic.Bool // a fetch is under way
	wait time.Duration
	due  time.Time // not again before
}

// Between two fetches: a registry that is away is not asked all the time.
const fetchFirst, fetchMost = reconcileRetry, 10 * time.Minute

// fetch gets an image beside the queue, unless nothing may fetch it, and has the container
// made again then.
func (w *worker) fetch(spec Spec) {
	f := &w.fetching
	if spec.PullPolicy == PullNever || time.Now().Before(f.due) || !f.busy.CompareAndSwap(false, true) {
		return
	}
	f.wait = min(max(2*f.wait, fetchFirst), fetchMost)
	f.due = time.Now().Add(f.wait)
	if !w.s.goes(func() {
		defer f.busy.Store(false)
		defer w.s.hold(&spec)()
		if _, err := w.s.pull(w.s.ctx, &spec); err != nil {
			w.s.Log.WithError(err).WithField("module", spec.Name).Warn("cannot fetch the image of a container that is gone")
			return
		}
		done, err := w.s.submit(spec.Name, false, func(ctx context.Context, w *worker, _ func(error)) error { return w.observeAgain(ctx, false) })
		if err == nil {
			<-done //nolint:errcheck // it was logged; until then the image is held
		}
	}) {
		f.busy.Store(false) // edged is stopping
	}
}
