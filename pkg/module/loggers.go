package module

import (
	"context"
	"time"
)

// loggerCheck is how often loggers are looked for; loggerGrace is what a new run's
// is given to begin.
const (
	loggerCheck = 10 * time.Second
	loggerGrace = 5 * time.Second
)

// watchLoggers finds modules whose logger died. Nobody starts it again, and the
// module's next write is answered by EPIPE, so the module is restarted, with back-off.
func (s *Supervisor) watchLoggers(ctx context.Context) {
	tick := time.NewTicker(loggerCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, st := range s.All(ctx) {
			if st.Status.Runtime != Running || time.Since(st.Status.StartTime) < loggerGrace || s.Logs.LoggerAlive(st.Spec.Name, st.Generation) {
				continue
			}
			_, err := s.submit(st.Spec.Name, false, func(ctx context.Context, w *worker, _ func(error)) error {
				return w.reviveLogger(ctx, st)
			})
			if err != nil {
				s.Log.WithError(err).WithField("module", st.Spec.Name).Warn("cannot restart a module whose logger died")
			}
		}
	}
}

// reviveLogger restarts the run that was seen without a logger, if it is still that one.
func (w *worker) reviveLogger(ctx context.Context, seen *State) error {
	if w.state.Load() != seen || w.instance == nil || w.s.Logs.LoggerAlive(w.name, w.rec.Current.Number) {
		return nil
	}
	log := w.s.Log.WithField("module", w.name)
	log.Error("the module's logger died; restarting the module")
	exit, err := w.endTask(ctx)
	if err == nil {
		exit.Resume = true
		err = w.ended(ctx, exit, "its logger died")
	}
	if err != nil {
		log.WithError(err).Error("cannot restart a module whose logger died")
		return err
	}
	w.retryLater(w.rec.Start)
	w.publish()
	return w.deleteTask(ctx, ContainerID(w.name, w.rec.Current.Number))
}
