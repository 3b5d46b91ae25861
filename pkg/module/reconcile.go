package module

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/peer"
)

// load takes up what the database says of a module and, if its first process
// still lives, its identity. It asks the engine nothing.
func (w *worker) load(rec *Record, instances map[string]*peer.Instance) {
	w.rec, w.stale = rec, w.s.Restored
	life, err := w.s.Engine.Check(&rec.Current.Spec)
	if err != nil {
		// It was accepted once; what it is now is for the operator to see.
		w.note = err.Error()
	}
	w.life = life
	for _, g := range []*Generation{rec.Next, &rec.Current} {
		if g == nil {
			continue
		}
		in := instances[ContainerID(w.name, g.Number)]
		if in == nil {
			continue
		}
		if !w.stale && w.s.Recorder.Alive(*in) {
			if err := w.s.Table.Add(in); err != nil {
				w.s.Log.WithError(err).WithField("module", w.name).Error("cannot take up a running instance")
			}
			if err := w.s.Sockets.Ensure(w.name, wantsManagement(&g.Spec)); err != nil {
				w.s.Log.WithError(err).WithField("module", w.name).Error("cannot serve a running module's sockets")
			}
		} else if !w.unsure {
			w.unsure = true
			w.s.unsure.Add(1)
		}
		w.instance = in
	}
	if w.instance != nil {
		w.setRun(true)
		w.beginHealth(nil, false)
	}
	if w.instance == nil && rec.Exit != nil {
		w.note = describe("exited", rec.Exit)
		if !rec.Wanted {
			w.note = describe(StoppedByRequest, rec.Exit)
		}
	}
	w.publish()
}

// watch follows the engine's events: first the stream, then a comparison, then
// the events; and again from the start whenever the stream ends.
func (s *Supervisor) watch(ctx context.Context) {
	const first, longest = 50 * time.Millisecond, 2 * time.Second
	wait, away := first, false
	for ctx.Err() == nil {
		stream, end := context.WithCancel(ctx)
		err := s.Engine.Events(stream, func() {
			if err := s.reconcile(ctx); err != nil {
				// Without it nothing that ran before a power cut comes back: begin anew.
				if ctx.Err() == nil {
					s.Log.WithError(err).Warn("cannot compare modules with the engine, trying again")
				}
				end()
				return
			}
			if away {
				s.Log.Info("the engine is back")
			}
			wait, away = first, false
		}, s.dispatch)
		end()
		if ctx.Err() != nil {
			return
		}
		if !away { // said once: containerd may be away for long
			s.Log.WithError(err).Warn("the engine's events ended; modules run on")
		}
		away = true
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, longest)
	}
}

// reconcile compares what should be with what the engine has, each module in its
// own worker.
func (s *Supervisor) reconcile(ctx context.Context) error {
	octx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	observed, err := s.Engine.Observe(octx)
	if err != nil {
		return err
	}
	byModule := map[string]map[string]Observed{}
	for _, o := range observed {
		if byModule[o.Module] == nil {
			byModule[o.Module] = map[string]Observed{}
		}
		byModule[o.Module][o.ContainerID] = o
	}
	s.mu.Lock()
	for name := range s.workers {
		if byModule[name] == nil {
			byModule[name] = nil
		}
	}
	s.mu.Unlock()
	var waits []<-chan error
	cut := (s.PowerCut || s.Restored) && !s.compared()
	for name, found := range byModule {
		done, err := s.submit(name, true, func(ctx context.Context, w *worker, _ func(error)) error {
			return w.reconcileSurely(ctx, found, cut)
		})
		if err != nil {
			return err
		}
		waits = append(waits, done)
	}
	s.goes(func() { s.afterReconcile(ctx, waits) })
	return nil
}

// compared says that the first comparison is over: what ends later ends for other
// reasons than a power cut.
func (s *Supervisor) compared() bool {
	select {
	case <-s.reconciled:
		return true
	default:
		return false
	}
}

// reconcileRetry is when a module that could not be brought to what it should be is
// looked at again: the disk may have room by then.
const reconcileRetry = 10 * time.Second

// reconcileSurely is reconcile, again and again until it succeeds or somebody asks
// something else of the module.
func (w *worker) reconcileSurely(ctx context.Context, found map[string]Observed, cut bool) error {
	if w.again {
		w.cancelRestart() // this is what it waited for
	}
	err := w.reconcile(ctx, found, cut)
	if err != nil && w.rec != nil && w.restart == nil {
		w.laterAgain(cut)
	}
	return err
}

func (w *worker) laterAgain(cut bool) {
	w.later(reconcileRetry, func(ctx context.Context, w *worker) error { return w.observeAgain(ctx, cut) })
	w.again = true
}

// observeAgain reconciles with a fresh picture; without one it waits for the next.
func (w *worker) observeAgain(ctx context.Context, cut bool) error {
	own, err := w.observe(ctx)
	if err == nil {
		err = w.reconcileSurely(ctx, own, cut)
	} else {
		w.laterAgain(cut)
	}
	if err != nil {
		w.s.Log.WithError(err).WithField("module", w.name).Warn("cannot bring a module to what it should be")
	}
	return err
}

// observe asks the engine for the module's containers.
func (w *worker) observe(ctx context.Context) (map[string]Observed, error) {
	observed, err := w.s.Engine.Observe(ctx)
	if err != nil {
		return nil, err
	}
	own := map[string]Observed{}
	for _, o := range observed {
		if o.Module == w.name {
			own[o.ContainerID] = o
		}
	}
	return own, nil
}

// isThere says whether the current generation has its container. One that was not found
// is asked for again: it may have been made since.
func (w *worker) isThere(ctx context.Context, found map[string]Observed) (bool, error) {
	id := ContainerID(w.name, w.rec.Current.Number)
	if _, ok := found[id]; ok {
		return true, nil
	}
	now, err := w.observe(ctx)
	_, ok := now[id]
	return ok, err
}

// afterReconcile waits for all workers, then opens the way for what must not run
// before: the clean-up of remains, and the agent's watchdog.
func (s *Supervisor) afterReconcile(ctx context.Context, waits []<-chan error) {
	for _, done := range waits {
		select {
		case err := <-done:
			if err != nil {
				s.Log.WithError(err).Warn("cannot bring a module to what it should be")
			}
		case <-ctx.Done():
			return
		}
	}
	s.reconcileOne.Do(func() { close(s.reconciled) })
}

// secondLook is when everything is compared and cleaned up once more: what an edged
// that was killed had asked of the engine may come about after the first look.
const secondLook = 20 * time.Second

// cleanUp removes remains, twice in the life of a process: later operations clean up
// behind themselves.
func (s *Supervisor) cleanUp(ctx context.Context) {
	select {
	case <-s.reconciled:
	case <-ctx.Done():
		return
	}
	if s.cleanUpSurely(ctx) && pause(ctx, secondLook) {
		s.Compare(ctx)
		s.cleanUpSurely(ctx)
	}
}

// cleanUpSurely tries it again until it has succeeded, and is false when ctx ended before.
func (s *Supervisor) cleanUpSurely(ctx context.Context) bool {
	for wait := reconcileRetry; ; wait = min(2*wait, 10*time.Minute) {
		cctx, cancel := context.WithTimeout(ctx, operationTimeout)
		err := errors.Join(s.Engine.CleanUp(cctx, s.names()), s.keepSecrets())
		cancel()
		if err == nil || ctx.Err() != nil {
			return err == nil
		}
		s.Log.WithError(err).Warn("cannot clean up after earlier operations, trying again")
		if !pause(ctx, wait) {
			return false
		}
	}
}

// names are those of all modules, of those that are being made or removed too.
func (s *Supervisor) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.workers))
}

// Compare compares all modules with the engine once more, for what has changed
// without an event: an image that is there now.
func (s *Supervisor) Compare(ctx context.Context) {
	if err := s.reconcile(ctx); err != nil {
		s.Log.WithError(err).Warn("cannot compare modules with the engine")
	}
}

// Reconciled is closed once every module was compared with the engine.
func (s *Supervisor) Reconciled() <-chan struct{} { return s.reconciled }

// reconcile brings one module to what it should be. What was observed may be
// older than what the worker did since, so every difference is asked for again.
func (w *worker) reconcile(ctx context.Context, found map[string]Observed, cut bool) error {
	for id := range found {
		if !w.knows(id) {
			// Made by an operation whose record is gone, or by a daemon with another database.
			w.s.Table.Remove(id)
			if err := w.deleteContainer(ctx, id); err != nil {
				return fmt.Errorf("cannot remove unknown container %s: %w", id, err)
			}
		}
	}
	if w.rec == nil {
		return nil
	}
	switch w.rec.Phase {
	case PhaseCreating:
		err := w.undoCreate(ctx, w.rec)
		w.publish()
		return err
	case PhaseDeleting:
		return w.removeRest(ctx)
	case PhaseUpdating:
		if err := w.settleUpdate(ctx); err != nil {
			return err
		}
	}
	if err := w.compareRun(ctx, cut); err != nil {
		return err
	}
	if found[ContainerID(w.name, w.rec.Current.Number)].Elsewhere {
		w.s.Log.WithField("module", w.name).Info("the folders of edged are others than those its container was made for: it is made anew")
		w.stale = true
	}
	stale := w.stale
	if err := w.removeStale(ctx); err != nil {
		return err
	}
	if err := w.removeLeft(ctx); err != nil {
		return err
	}
	there := w.instance != nil
	if !there && !stale {
		var err error
		if there, err = w.isThere(ctx, found); err != nil {
			return err
		}
	}
	switch {
	case !there:
		if err := w.makeAgain(ctx); err != nil {
			return err
		}
		var cancel context.CancelFunc
		ctx, cancel = w.moreTime()
		defer cancel()
	case w.instance == nil:
		// A task that is there nobody knows: the answer to its start was lost, and the clean-up failed.
		if err := w.endUnknown(ctx, ContainerID(w.name, w.rec.Current.Number)); err != nil {
			return err
		}
	}
	return w.runIfDue(ctx)
}

func (w *worker) knows(id string) bool {
	if w.rec == nil {
		return false
	}
	return id == ContainerID(w.name, w.rec.Current.Number) ||
		w.rec.Next != nil && id == ContainerID(w.name, w.rec.Next.Number)
}

// removeStale removes a container of another time or of other folders, its run too: its
// files, its folders and its spec may be other than the record has them.
func (w *worker) removeStale(ctx context.Context) error {
	if !w.stale {
		return nil
	}
	id := ContainerID(w.name, w.rec.Current.Number)
	if w.instance != nil {
		exit, err := w.endTask(ctx)
		if err != nil {
			return err
		}
		exit.Resume = true
		if err := w.ended(ctx, exit, "stopped to be made anew"); err != nil {
			return err
		}
		w.publish()
	} else {
		w.askToEnd(ctx, id)
	}
	if err := w.deleteContainer(ctx, id); err != nil {
		return fmt.Errorf("cannot remove a container of before: %w", err)
	}
	w.stale = false
	return nil
}

// settleUpdate ends an update that a crash cut: if the new generation runs, the
// switch was made and only its record is missing; else the old one stays.
func (w *worker) settleUpdate(ctx context.Context) error {
	next := w.rec.Next
	if next == nil {
		return fmt.Errorf("record of module %q is updating to nothing: %w", w.name, errdefs.ErrInternal)
	}
	id := ContainerID(w.name, next.Number)
	if w.instance == nil || w.instance.ContainerID != id || w.unsure || !w.reallyRuns(ctx, id) {
		if w.instance != nil && w.instance.ContainerID == id {
			// What ran before the update, and was stopped for it, is to run again.
			resume := w.rec.Exit != nil && w.rec.Exit.Resume
			if err := w.ended(ctx, &Exit{Time: time.Now().UTC(), Lost: true, Code: 255, Resume: resume}, "update was cut short"); err != nil {
				return err
			}
		}
		_ = w.abandon(ctx, nil)
		return nil
	}
	old := w.rec.Current.Number
	rec := *w.rec
	rec.Phase, rec.Current, rec.Next = PhaseReady, *next, nil
	if err := w.s.Store.SaveModule(ctx, &rec); err != nil {
		return err
	}
	*w.rec = rec
	if life, err := w.s.Engine.Check(&next.Spec); err == nil {
		w.life = life
	}
	w.discard(ctx, old)
	w.publish()
	return nil
}

// reallyRuns asks the engine; a task that is parked before its first instruction does not run.
func (w *worker) reallyRuns(ctx context.Context, id string) bool {
	exit, err := w.s.Engine.Exited(ctx, id)
	return err == nil && exit == nil
}

// compareRun finds out how a run ended that is not there any more.
func (w *worker) compareRun(ctx context.Context, cut bool) error {
	if w.instance == nil {
		return nil
	}
	exit, err := w.s.Engine.Exited(ctx, w.instance.ContainerID)
	switch {
	case err == nil && exit == nil && !w.unsure:
		return nil // it runs, as we knew
	case err == nil && exit != nil && !w.stale:
		return w.died(ctx, exit, "exited")
	case err != nil && !errdefs.IsNotFound(err):
		return err
	}
	// No task, or a parked one: the code is lost. After a power cut this was not the module's exit.
	id := w.instance.ContainerID
	if err := w.ended(ctx, &Exit{Time: time.Now().UTC(), Code: 255, Lost: true, Resume: cut}, "ended while edged or its engine was away"); err != nil {
		return err
	}
	if !w.stale { // else it may run, and is asked to stop: removeStale
		if err := w.deleteTask(ctx, id); err != nil {
			return err
		}
	}
	switch {
	case cut && w.stale:
		w.note = "was running when the backup was made"
	case cut:
		w.note = "was running when the power went"
	default:
		w.applyPolicy()
	}
	w.publish()
	return nil
}

// makeAgain makes a container that should be there and is not: the engine's own
// data was lost, or the device is another than it was. It works offline when the image is
// there; one that is not is fetched meanwhile, for the next try.
func (w *worker) makeAgain(ctx context.Context) error {
	err := w.makeContainer(ctx, &w.rec.Current)
	w.broken = err != nil
	switch {
	case err == nil:
		w.fetching.wait = 0
	case errdefs.IsNotFound(err):
		w.fetch(w.rec.Current.Spec)
		fallthrough
	default:
		w.note = "its container is gone and cannot be made again: " + err.Error()
	}
	w.publish()
	return err
}

// runIfDue starts a module that is wanted and does not run: it ran when the power
// went, or its restart was due when edged ended.
func (w *worker) runIfDue(ctx context.Context) error {
	if w.instance != nil || !w.rec.Wanted || w.restart != nil || w.broken {
		return nil
	}
	if exit := w.rec.Exit; exit == nil || !exit.Resume && !w.policy().Wants(exit, w.rec.Restarts) {
		return nil
	}
	if err := w.launch(ctx, &w.rec.Current); err != nil {
		w.note = "cannot start: " + err.Error()
		w.retryLater(time.Time{})
		w.publish()
		return err
	}
	w.publish()
	return nil
}

// recheck looks at a run whose end could not be recorded.
func (w *worker) recheck(ctx context.Context) error {
	err := w.compareRun(ctx, false)
	if err != nil {
		w.later(time.Second, func(ctx context.Context, w *worker) error { return w.recheck(ctx) })
	}
	return err
}
