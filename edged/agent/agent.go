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
	"github.com/edged/edged/pkg/deployment"
)

// Times of the loop.
const (
	// refreshEvery is how often the device is compared with a deployment that was applied.
	refreshEvery = 30 * time.Second
	// showEvery is how often progress is written while there is some.
	showEvery = 500 * time.Millisecond
	// retryFirst and retryMost bound the wait after a failure, which doubles; retryBetween
	// is the most while the device is between two deployments.
	retryFirst   = 2 * time.Second
	retryMost    = 5 * time.Minute
	retryBetween = 15 * time.Second
)

// agent makes the device be as the manifest has it, or else as the last good one had it.
// All its fields belong to the goroutine of run; a job works on the reconciler alone,
// and run waits for it.
type agent struct {
	source     *source
	api        reconcile.API
	reconciler *reconcile.Reconciler
	memory     *memory
	history    *history
	status     *statusKeeper
	times      reconcile.Times
	log        logrus.FieldLogger

	wanted wanted
	// kept is the last good deployment, nil until it was read.
	kept *manifest.Deployment

	job     *job
	tryDue  time.Time // when the wanted deployment is tried next
	keepDue time.Time // when the device is compared with the last good one; zero: never
	retry   time.Duration
	// failing is since when a deployment fails whose changes were begun.
	failing time.Time
	// trouble is what the last try said of modules.
	trouble map[string]error
	said    string
}

// settings are what an agent is made of.
type settings struct {
	desired, status string
	api             reconcile.API
	times           reconcile.Times
	lookup          manifest.Lookup
	log             logrus.FieldLogger
}

func newAgent(s settings) *agent {
	warn := func(err error, what string) { s.log.WithError(err).Warn(what) }
	sweep(s.status)
	a := &agent{
		source: &source{folder: s.desired, lookup: s.lookup}, api: s.api, log: s.log, times: s.times,
		status: &statusKeeper{path: filepath.Join(s.status, deployment.StatusFile)},
		memory: openMemory(s.status, warn),
	}
	if a.times.Healthy <= 0 {
		a.times.Healthy = reconcile.DefaultHealthy
	}
	var err error
	if a.history, err = openHistory(s.status); err != nil {
		warn(err, "going on without it")
	}
	if err := readJSON(a.status.path, &a.status.current); err != nil {
		warn(err, "going on without it")
	}
	if a.memory.LastGood == "" {
		a.memory.LastGood = a.status.current.LastGood // its own file may be lost
	}
	a.reconciler = reconcile.New(s.api, &a.memory.Memory, s.times, s.log.Infof)
	return a
}

// run works until ctx ends. changes says that the folder of what is desired may hold
// something else; the files are looked at now and then besides, because a mount shows no
// events of a folder that was replaced on the other side.
func (a *agent) run(ctx context.Context, changes <-chan struct{}) {
	look := time.NewTicker(refreshEvery)
	defer look.Stop()
	// The first look counts as a change, also at a manifest that is not there.
	a.source.changed()
	a.load()
	for {
		if a.job == nil {
			a.next(ctx)
		}
		var done chan error
		var show <-chan time.Time
		if a.job != nil {
			done = a.job.done
			if a.job.visible {
				show = time.After(showEvery)
			}
		}
		select {
		case <-ctx.Done():
			a.abandon()
			return
		case err := <-done:
			a.end(err)
			continue
		case <-show:
			a.write(a.status.current)
			continue
		case <-a.alarm():
			continue
		case <-changes:
		case <-look.C:
		}
		if a.source.changed() {
			a.abandon()
			a.load()
		}
	}
}

// alarm fires when something is due; never while there is a job.
func (a *agent) alarm() <-chan time.Time {
	if a.job != nil {
		return nil
	}
	var due time.Time
	if a.open() {
		due = a.tryDue
	}
	if a.mayKeep() && (due.IsZero() || a.keepDue.Before(due)) {
		due = a.keepDue
	}
	if due.IsZero() {
		return nil
	}
	return time.After(time.Until(due))
}

// open says that there is a deployment to be tried.
func (a *agent) open() bool {
	return a.wanted.deployment != nil && a.wanted.revision != a.memory.LastGood && !a.refused()
}

func (a *agent) refused() bool {
	r := a.memory.Refused
	return r != nil && a.wanted.deployment != nil && r.Revision == a.wanted.revision && r.Stamp == a.wanted.stamp
}

// mayKeep says whether the device is to be as the last good deployment has it: always,
// but in the middle of the changes to a new one.
func (a *agent) mayKeep() bool {
	if a.keepDue.IsZero() {
		return false
	}
	return !a.open() || a.good() != nil && a.memory.Begun != a.wanted.revision
}

// good is the last good deployment, nil when there is none or it cannot be read.
func (a *agent) good() *manifest.Deployment {
	good := a.memory.LastGood
	switch {
	case good == "":
		return nil
	case a.wanted.deployment != nil && a.wanted.revision == good:
		return a.wanted.deployment
	case a.kept != nil && a.kept.Revision == good:
		return a.kept
	}
	text, err := a.history.text(good)
	if err == nil {
		a.kept, err = a.source.again(text)
	}
	if err != nil {
		a.sayOnce("there is nothing to go back to: " + err.Error())
		return nil
	}
	return a.kept
}

// load reads the manifest, which is new.
func (a *agent) load() {
	a.wanted = a.source.read()
	a.retry, a.failing, a.trouble = 0, time.Time{}, nil
	// Whoever wrote it waits for a new word, even when that is the old one.
	a.status.written = false
	a.tryDue, a.keepDue = time.Now(), time.Now()
	w := &a.wanted
	next := deployment.Status{Revision: w.revision}
	var invalid *manifest.Invalid
	switch {
	case errors.Is(w.err, fs.ErrNotExist):
		a.sayOnce("waiting for " + filepath.Join(a.source.folder, deployment.ManifestFile) + "; until it comes nothing is changed")
		if a.memory.LastGood == "" {
			a.keepDue = time.Time{}
		}
		return
	case w.err != nil:
		next.Phase, next.Error = deployment.Failed, bounded(w.err, maxText)
		if errors.As(w.err, &invalid) {
			next.Phase = deployment.Invalid
		}
		a.sayOnce("revision " + short(w.revision) + " is not applied: " + w.err.Error())
		a.report(next)
		return
	}
	a.said = ""
	for _, notice := range w.deployment.Notices {
		a.log.Info(notice)
	}
	next.Notices = w.deployment.Notices
	switch {
	case a.refused():
		next.Phase, next.Error = deployment.RolledBack, a.memory.Refused.Error
		if a.memory.Begun != "" {
			next.Phase = deployment.RollingBack
		}
	case !a.open() && a.memory.Begun == "" && a.status.current.Revision == w.revision:
		return // it was applied; the comparison says whether it still is so
	default:
		next.Phase = deployment.Applying
		a.log.Infof("applying revision %s: %d modules", short(w.revision), len(w.deployment.Modules))
	}
	a.report(next)
}

// sayOnce logs a failure when it is another than the last: retries are many.
func (a *agent) sayOnce(text string) {
	if text != a.said {
		a.said = text
		a.log.Warn(text)
	}
}

func short(revision string) string { return revision[:min(len(revision), 12)] }

// lookupEnv finds variables of the agent's own environment.
func lookupEnv(name string) (string, bool) { return os.LookupEnv(name) }
