package module

import (
	"context"
)

// Delete stops a module and removes its container, sockets, logs and record. Its
// identity stays. Errors: NotFound, Unavailable; a delete that was begun is
// tried again until it is finished, by the next start too.
func (s *Supervisor) Delete(ctx context.Context, name string) error {
	if err := reserved(name); err != nil {
		return err
	}
	return s.do(ctx, name, false, func(ctx context.Context, w *worker, _ func(error)) error {
		if w.rec == nil {
			return notFound(name)
		}
		err := w.remove(ctx)
		if err != nil && w.rec != nil && w.rec.Phase == PhaseDeleting {
			w.laterAgain(false)
		}
		return err
	})
}

func (w *worker) remove(ctx context.Context) error {
	rec := *w.rec
	rec.Phase, rec.Wanted = PhaseDeleting, false
	if err := w.s.Store.SaveModule(ctx, &rec); err != nil {
		return err
	}
	*w.rec = rec
	w.publish() // from here on it is not found: what was begun is finished, sooner or later
	// gofail: var deleteAfterIntent struct{}
	if w.instance != nil {
		exit, err := w.endTask(ctx)
		if err == nil {
			err = w.ended(ctx, exit, "deleted")
		}
		if err != nil {
			return err
		}
	}
	return w.removeRest(ctx)
}

// removeRest is the part of a delete that a start after a crash does again.
func (w *worker) removeRest(ctx context.Context) error {
	w.cancelRestart()
	w.setRun(false)
	w.sure()
	w.publish()
	for _, g := range []*Generation{&w.rec.Current, w.rec.Next} {
		if g == nil {
			continue
		}
		id := ContainerID(w.name, g.Number)
		w.s.Table.Remove(id)
		if err := w.deleteContainer(ctx, id); err != nil {
			return err
		}
	}
	// gofail: var deleteAfterContainer struct{}
	if err := w.s.Engine.Forget(ctx, w.name); err != nil {
		return err
	}
	if err := w.s.Sockets.Remove(w.name); err != nil {
		return err
	}
	if err := w.s.Logs.Remove(w.name); err != nil {
		return err
	}
	// gofail: var deleteBeforeRow struct{}
	if err := w.s.Store.DeleteModule(ctx, w.name); err != nil {
		return err
	}
	w.rec, w.instance = nil, nil
	w.publish()
	return nil
}
