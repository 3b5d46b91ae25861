package module

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/peer"
)

// Start makes a module run; one that runs is left alone.
func (s *Supervisor) Start(ctx context.Context, name string) error {
	return s.do(ctx, name, false, func(ctx context.Context, w *worker, _ func(error)) error {
		if !w.whole() {
			return notFound(name)
		}
		return w.startByWish(ctx)
	})
}

// Stop makes a module not run, and keeps it so over any restart. byHost marks the
// wish of a host user, which holds back whoever keeps the module running.
func (s *Supervisor) Stop(ctx context.Context, name string, byHost bool) error {
	return s.do(ctx, name, false, func(ctx context.Context, w *worker, answer func(error)) error {
		if !w.whole() {
			return notFound(name)
		}
		if byHost {
			w.held.Store(true)
		}
		return w.stopByWish(ctx, answer)
	})
}

// Restart stops a module, if it runs, and starts it.
func (s *Supervisor) Restart(ctx context.Context, name string) error {
	return s.do(ctx, name, false, func(ctx context.Context, w *worker, _ func(error)) error {
		if !w.whole() {
			return notFound(name)
		}
		// Resume: nobody wished it stopped, so a crash before the start must not leave it so.
		if err := w.halt(ctx, nil, w.rec.Wanted); err != nil {
			return err
		}
		return w.startByWish(ctx)
	})
}

func (w *worker) startByWish(ctx context.Context) error {
	w.held.Store(false)
	if w.instance != nil && !w.unsure {
		return w.saveWish(ctx, true)
	}
	w.cancelRestart()
	w.backoff.reset()
	w.rec.Restarts = 0
	err := w.launch(ctx, &w.rec.Current)
	if errdefs.IsNotFound(err) || w.broken {
		// The engine lost its container: that is not for the caller to know of.
		if err = w.makeAgain(ctx); err == nil {
			err = w.launch(ctx, &w.rec.Current)
		}
	}
	if err != nil {
		w.note = "cannot start: " + err.Error()
		if w.rec.Wanted && w.rec.Exit != nil {
			// It ran until a restart was asked for: its policy goes on from here.
			w.applyPolicy()
		}
	}
	w.publish()
	return err
}

func (w *worker) stopByWish(ctx context.Context, answer func(error)) error {
	if err := w.saveWish(ctx, false); err != nil {
		return err
	}
	return w.halt(ctx, answer, false)
}

// saveWish writes what is wished before anything is done about it. A wish that
// could not be written is none.
func (w *worker) saveWish(ctx context.Context, wanted bool) error {
	if w.rec.Wanted == wanted {
		return nil
	}
	rec := *w.rec
	rec.Wanted = wanted
	if err := w.s.Store.SaveModule(ctx, &rec); err != nil {
		return err
	}
	*w.rec = rec
	return nil
}

// whole says that there is a module: one that a failed create or delete left in the
// middle is none.
func (w *worker) whole() bool {
	return w.rec != nil && w.rec.Phase != PhaseCreating && w.rec.Phase != PhaseDeleting
}

// launch starts a generation's container. The identity is recorded, in the table
// and on the disk, while the first process is parked: there is no moment in which
// a module runs and nobody knows who it is.
func (w *worker) launch(ctx context.Context, g *Generation) error {
	if err := w.removeStale(ctx); err != nil {
		return err
	}
	id := ContainerID(w.name, g.Number)
	if err := w.removeLeft(ctx); err != nil {
		if w.left == id {
			return err
		}
		w.s.Log.WithError(err).WithField("module", w.name).Warn("cannot end a generation that did not come up; it is tried again")
	}
	// A reboot empties the run folder, so the sockets are made again before each start.
	if err := w.s.Sockets.Ensure(w.name, wantsManagement(&g.Spec)); err != nil {
		return err
	}
	if err := w.placeSecrets(ctx, id, &g.Spec); err != nil {
		return err
	}
	var in *peer.Instance
	before := *w.rec
	admit := func(pid int, generationID string) error {
		// gofail: var startAfterTask struct{}
		facts, err := w.s.Recorder.Record(pid, id)
		if err != nil {
			return err
		}
		facts.Module, facts.Generation, facts.ContainerID, facts.System = w.name, g.Number, id, System(w.name)
		facts.GenerationID = generationID
		if err := w.s.Table.Add(&facts); err != nil {
			return err
		}
		in = &facts
		rec := *w.rec
		rec.Wanted, rec.Start = true, time.Now().UTC()
		if err := w.s.Store.SaveStart(ctx, &rec, in); err != nil {
			return err
		}
		*w.rec = rec
		// gofail: var startAfterRecord struct{}
		return nil
	}
	log := Log{Dir: w.s.Logs.GenerationDir(w.name, g.Number), MaxSize: w.life.LogMaxSize, MaxFiles: w.life.LogMaxFiles}
	if err := w.s.Engine.Start(ctx, id, log, admit); err != nil {
		w.removeSecrets(id)
		if in != nil {
			// A start that failed is no wish: the record is again what it was.
			w.s.Table.Remove(id)
			*w.rec = before
			if e := w.s.Store.SaveExit(ctx, w.rec, id); e != nil {
				w.s.Log.WithError(e).WithField("module", w.name).Warn("cannot forget an instance that did not start")
			}
			// Perhaps only the answer was lost, and it runs: nobody knows it now, so it must end.
			w.left = id
			w.laterAgain(false)
		}
		return err
	}
	// gofail: var startAfterRun struct{}
	w.sure()
	w.instance, w.oom, w.note, w.broken = in, false, "", false
	check, err := w.s.Engine.Health(ctx, id)
	w.beginHealth(check, err == nil)
	w.setRun(true)
	return nil
}

// removeLeft ends what a start that failed may have left running all the same, and is
// tried again until that is done.
func (w *worker) removeLeft(ctx context.Context) error {
	if w.left == "" {
		return nil
	}
	err := w.endUnknown(ctx, w.left)
	if err != nil {
		w.laterAgain(false)
	}
	return err
}

// endUnknown ends and removes the task of a container of which nobody knows that it runs,
// should it be there. It is asked to stop before: its volumes may be those that the next
// run has.
func (w *worker) endUnknown(ctx context.Context, id string) error {
	w.askToEnd(ctx, id)
	return w.deleteTask(ctx, id)
}

// askToEnd gives a run that is nobody's the time to stop that a module has. What does not
// stop is killed by who removes it.
func (w *worker) askToEnd(ctx context.Context, id string) {
	if exit, err := w.s.Engine.Exited(ctx, id); err != nil || exit != nil {
		return
	}
	err := w.s.Engine.Signal(ctx, id, false)
	if err == nil {
		_, err = w.awaitExit(ctx, id, w.life.StopTimeout)
	}
	if err != nil {
		w.s.Log.WithError(err).WithField("module", w.name).Warn("cannot stop a container of before in peace")
	}
}

// halt ends the run, if there is one, and lets no restart follow. answer, when
// given, is called as soon as the end is on the disk; what is left of the task is
// removed after it.
func (w *worker) halt(ctx context.Context, answer func(error), resume bool) error {
	w.cancelRestart()
	if w.instance == nil {
		if err := w.removeLeft(ctx); err != nil {
			return err
		}
		if w.rec.Exit != nil {
			w.note = describe(StoppedByRequest, w.rec.Exit) // and no longer "restart due"
		}
		w.setRun(false)
		w.publish()
		return nil
	}
	exit, err := w.endTask(ctx)
	if err != nil {
		return err
	}
	// gofail: var stopAfterSignal struct{}
	exit.Resume = resume
	id := w.instance.ContainerID
	if err := w.ended(ctx, exit, StoppedByRequest); err != nil {
		return err
	}
	w.setRun(false)
	w.publish()
	if answer != nil {
		answer(nil)
	}
	// gofail: var stopBeforeTask struct{}
	return errors.Join(w.deleteTask(ctx, id), w.removeLeft(ctx))
}

// endTask asks the first process to stop, kills all when its time is up, and
// returns how it ended. The event stream tells; asking now and then covers the
// moments in which it is down.
func (w *worker) endTask(ctx context.Context) (*Exit, error) {
	id := w.instance.ContainerID
	for len(w.exits) > 0 {
		if ev := <-w.exits; w.concerns(ev) && ev.Exit != nil {
			return ev.Exit, nil // it ended before anybody asked
		}
	}
	timeout := w.life.StopTimeout
	if err := w.s.Engine.Signal(ctx, id, false); err != nil && !errdefs.IsNotFound(err) {
		return nil, err
	}
	if exit, err := w.awaitExit(ctx, id, timeout); exit != nil || err != nil {
		return exit, err
	}
	if err := w.s.Engine.Signal(ctx, id, true); err != nil && !errdefs.IsNotFound(err) {
		return nil, err
	}
	w.killed = true
	exit, err := w.awaitExit(ctx, id, killTimeout)
	if err == nil && exit == nil {
		err = fmt.Errorf("cannot stop module %q: it lives on after SIGKILL: %w", w.name, errdefs.ErrInternal)
	}
	return exit, err
}

// awaitExit returns nil without an error when the time is up.
func (w *worker) awaitExit(ctx context.Context, id string, timeout time.Duration) (*Exit, error) {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	ask := time.NewTicker(time.Second)
	defer ask.Stop()
	for {
		select {
		case ev := <-w.exits:
			if w.concerns(ev) && ev.Exit != nil {
				return ev.Exit, nil
			}
		case <-ask.C:
			exit, err := w.s.Engine.Exited(ctx, id)
			if errdefs.IsNotFound(err) {
				return &Exit{Time: time.Now().UTC(), Code: 255, Lost: true}, nil
			}
			if err == nil && exit != nil {
				return exit, nil
			}
			// An engine that does not answer now may in a second; the deadline bounds it.
		case <-deadline.C:
			return nil, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot stop module %q in time: %w", w.name, errdefs.ErrUnavailable)
		}
	}
}

// ended writes down the end of the run. The kill is read from the cgroup now,
// because DeleteTask removes it. After one that was edged's own nobody needs to search.
func (w *worker) ended(ctx context.Context, exit *Exit, note string) error {
	in := w.instance
	e := *exit
	e.OOM = e.OOM || w.oom || !w.killed && w.s.Engine.OOMKilled(ctx, in, exit)
	rec := *w.rec
	rec.Exit = &e
	// gofail: var exitBeforeSave struct{}
	if err := w.s.Store.SaveExit(ctx, &rec, in.ContainerID); err != nil {
		return err
	}
	// gofail: var exitAfterSave struct{}
	*w.rec = rec
	w.s.Table.Remove(in.ContainerID)
	w.sure()
	w.endHealth()
	w.instance, w.oom, w.killed = nil, false, false
	w.note = describe(note, &e)
	return nil
}

// sure ends the doubt about a run, and the waiting of those who ask.
func (w *worker) sure() {
	if w.unsure {
		w.unsure = false
		w.s.unsure.Add(-1)
	}
}

// StoppedByRequest begins the description of a module that somebody stopped.
const StoppedByRequest = "stopped by request"

// describe words the end of a run for the operator.
func describe(note string, e *Exit) string {
	switch {
	case e.Lost:
		return note + ", exit code unknown"
	case e.OOM:
		return fmt.Sprintf("%s, out of memory, exit code %d", note, e.Code)
	}
	return fmt.Sprintf("%s, exit code %d", note, e.Code)
}
