package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/edged/agent/reconcile"
	"github.com/edged/edged/pkg/client/wire"
)

// Times of the loop.
const (
	// pollEvery is how often the manifest's files are looked at.
	pollEvery = time.Second
	// refreshEvery is how often the device is compared with a manifest that was applied.
	refreshEvery = 30 * time.Second
	// retryFirst and retryMost bound the wait after a failure, which doubles.
	retryFirst = 2 * time.Second
	retryMost  = 5 * time.Minute
)

// agent keeps the device as the manifest has it. All its fields belong to the
// goroutine of run; a job works on the reconciler alone, and run waits for it.
type agent struct {
	source     *source
	api        reconcile.API
	reconciler *reconcile.Reconciler
	status     *statusKeeper
	log        logrus.FieldLogger

	// deployment is the manifest as it was read, nil when there is none or it is invalid.
	deployment *manifest.Deployment
	job        *job
	due        time.Time
	retry      time.Duration
	said       string
}

// job is one comparison of the device with the manifest, under way.
type job struct {
	cancel context.CancelFunc
	done   chan outcome
}

type outcome struct {
	err  error
	have []wire.Module
	// seen says that have could be had.
	seen bool
}

func newAgent(desired, status string, api reconcile.API, log logrus.FieldLogger) *agent {
	a := &agent{
		source: &source{folder: desired, lookup: os.LookupEnv}, api: api, log: log,
		status: &statusKeeper{path: filepath.Join(status, "status.json")},
	}
	memoryPath := filepath.Join(status, "applied.json")
	memory := &reconcile.Memory{}
	for path, v := range map[string]any{memoryPath: memory, a.status.path: &a.status.current} {
		if err := readJSON(path, v); err != nil {
			log.WithError(err).Warn("going on without it")
		}
	}
	memory.Save = func() {
		if err := writeJSON(memoryPath, memory, 0o600); err != nil {
			log.WithError(err).Warn("what was done is forgotten when the agent ends")
		}
	}
	a.reconciler = reconcile.New(api, memory, log.Infof)
	return a
}

// run works until ctx ends.
func (a *agent) run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	// The first look counts as a change, also at a manifest that is not there.
	a.source.changed()
	a.load()
	for {
		if a.job == nil && !a.due.IsZero() && !time.Now().Before(a.due) {
			a.begin(ctx)
		}
		var done chan outcome
		if a.job != nil {
			done = a.job.done
		}
		select {
		case <-ctx.Done():
			a.abandon()
			return
		case out := <-done:
			a.end(out)
		case <-tick.C:
			if a.source.changed() {
				a.abandon()
				a.load()
			}
		}
	}
}

// load reads the manifest, which is new.
func (a *agent) load() {
	d, revision, err := a.source.read()
	a.deployment, a.due, a.retry = d, time.Now(), 0
	var invalid *manifest.Invalid
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.due = time.Time{}
		a.sayOnce("waiting for " + filepath.Join(a.source.folder, manifestFile) + "; until it comes nothing is changed")
	case errors.As(err, &invalid):
		a.sayOnce("revision " + short(revision) + " is not applied: " + err.Error())
		a.report(Status{Revision: revision, Phase: phaseInvalid, Error: bounded(err)})
	case err != nil:
		a.sayOnce(err.Error())
		a.report(Status{Revision: revision, Phase: phaseFailed, Error: bounded(err)})
	default:
		a.said = ""
		for _, notice := range d.Notices {
			a.log.Info(notice)
		}
		if is := a.status.current; is.Revision != revision || is.Phase == phaseInvalid {
			a.log.Infof("applying revision %s: %d modules", short(revision), len(d.Modules))
			a.report(Status{Revision: revision, Phase: phaseApplying, Notices: d.Notices})
		}
	}
}

// begin starts a job: with a deployment it applies it, without one it only looks.
func (a *agent) begin(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	a.job = &job{cancel: cancel, done: make(chan outcome, 1)}
	d, done := a.deployment, a.job.done
	go func() {
		var out outcome
		if d != nil {
			out.err = a.reconciler.Apply(ctx, d)
		}
		var err error
		out.have, err = a.api.List(ctx)
		out.seen = err == nil
		if out.err == nil {
			out.err = err
		}
		done <- out
	}()
}

// abandon ends a job under way and forgets what comes of it: its manifest is of
// yesterday. What edged accepted already it goes on with.
func (a *agent) abandon() {
	if a.job != nil {
		a.job.cancel()
		<-a.job.done
		a.job = nil
	}
}

// end takes what came of a job.
func (a *agent) end(out outcome) {
	a.job.cancel()
	a.job = nil
	next := a.status.current
	var failure *reconcile.Failure
	var failed map[string]error
	if errors.As(out.err, &failure) {
		failed = failure.Modules
	}
	if out.seen {
		next.Modules = modulesStatus(out.have, failed)
	}
	switch {
	case a.deployment == nil:
		// Only looked: what is wrong with the manifest stays said.
	case out.err != nil:
		next.Revision, next.Phase, next.Error = a.deployment.Revision, phaseFailed, bounded(out.err)
	default:
		if next.Phase != phaseApplied {
			a.log.Infof("revision %s is applied", short(a.deployment.Revision))
		}
		next.Revision, next.Phase, next.Error, next.LastGood = a.deployment.Revision, phaseApplied, "", a.deployment.Revision
	}
	if a.deployment != nil {
		next.Notices = a.deployment.Notices
	}
	a.write(next)
	if out.err == nil {
		a.retry, a.said = 0, ""
		a.due = time.Now().Add(refreshEvery)
		return
	}
	a.sayOnce(out.err.Error())
	a.retry = min(max(2*a.retry, retryFirst), retryMost)
	a.due = time.Now().Add(a.retry)
}

// report writes a new phase; what is known of modules and the last good revision stay.
func (a *agent) report(s Status) {
	s.LastGood, s.Modules = a.status.current.LastGood, a.status.current.Modules
	a.write(s)
}

func (a *agent) write(s Status) {
	if s.Modules == nil {
		s.Modules = map[string]ModuleStatus{}
	}
	if err := a.status.set(s); err != nil {
		a.log.WithError(err).Warn("nobody can see what the agent does")
	}
}

// sayOnce logs a failure when it is another than the last: retries are many.
func (a *agent) sayOnce(text string) {
	if text != a.said {
		a.said = text
		a.log.Warn(text)
	}
}

func short(revision string) string { return revision[:min(len(revision), 12)] }
