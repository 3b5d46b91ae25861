package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/edged/agent/reconcile"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
)

// job is one comparison of the device with a deployment, under way.
type job struct {
	cancel context.CancelFunc
	done   chan error
	// try says that the deployment is a new one, and not the last good one.
	try bool
	// visible says that somebody waits for its progress.
	visible bool
	// looks says that there is no deployment at all: modules are only looked at.
	looks bool
	have  []wire.Module
	seen  bool
}

// next begins what is due.
func (a *agent) next(ctx context.Context) {
	now := time.Now()
	switch {
	case a.open() && !a.tryDue.After(now):
		// Before anything is done: without its text nothing could go back to it one day.
		if err := a.history.keep(a.wanted.revision, a.wanted.text); err != nil {
			a.log.WithError(err).Warn("the deployment cannot be gone back to")
		}
		a.note(deployment.Applying, "")
		a.begin(ctx, a.wanted.deployment, reconcile.How{Fallback: a.good() != nil}, &job{try: true, visible: true})
	case a.mayKeep() && !a.keepDue.After(now):
		d := a.good()
		a.begin(ctx, d, reconcile.How{Good: true}, &job{visible: a.memory.Begun != "", looks: d == nil})
	}
}

func (a *agent) begin(ctx context.Context, d *manifest.Deployment, how reconcile.How, j *job) {
	ctx, j.cancel = context.WithCancel(ctx)
	j.done = make(chan error, 1)
	a.job = j
	a.reconciler.Progress.Reset()
	go func() {
		var err error
		if d != nil {
			err = a.reconciler.Apply(ctx, d, how)
		}
		have, e := a.api.List(ctx)
		j.have, j.seen = have, e == nil
		if err == nil {
			err = e
		}
		j.done <- err
	}()
}

// abandon ends a job under way and forgets what comes of it: its manifest is of
// yesterday. What edged accepted already it goes on with.
func (a *agent) abandon() {
	if a.job != nil {
		a.job.cancel()
		<-a.job.done //nolint:errcheck // nobody asks any more
		a.job = nil
	}
}

// end takes what came of a job.
func (a *agent) end(err error) {
	j := a.job
	j.cancel()
	a.job = nil
	var failure *reconcile.Failure
	errors.As(err, &failure)
	next := a.status.current
	var trouble map[string]error
	if failure != nil {
		trouble = failure.Modules
	}
	switch {
	case j.try:
		a.trouble = trouble
		a.tried(&next, err, failure)
	case j.looks:
		a.wait(err)
	default:
		a.compared(&next, err)
	}
	if trouble == nil && a.open() {
		trouble = a.trouble
	}
	if j.seen {
		next.Modules = modulesStatus(j.have, nil, trouble)
	}
	a.write(next)
}

// tried says what became of a new deployment.
func (a *agent) tried(next *deployment.Status, err error, failure *reconcile.Failure) {
	revision := a.wanted.revision
	next.Revision, next.Error, next.Notices = revision, bounded(err, maxText), a.wanted.deployment.Notices
	if err == nil {
		a.memory.LastGood, a.memory.Refused = revision, nil
		a.memory.Save()
		next.Phase, next.LastGood = deployment.Applied, revision
		a.note(deployment.Applied, "")
		a.log.Infof("revision %s is applied", short(revision))
		a.wait(nil)
		a.keepDue = time.Now() // identities that nobody needs any more go
		return
	}
	begun := a.memory.Begun == revision
	if begun && a.failing.IsZero() && !reconcile.Unreachable(err) {
		a.failing = time.Now()
	}
	over := failure != nil && failure.Final || !a.failing.IsZero() && time.Since(a.failing) >= a.times.Healthy
	if begun && over && a.good() != nil {
		a.memory.Refused = &refused{Revision: revision, Stamp: a.wanted.stamp, Error: next.Error}
		a.memory.Save()
		next.Phase = deployment.RollingBack
		a.sayOnce(fmt.Sprintf("revision %s failed, going back to %s: %v", short(revision), short(a.memory.LastGood), err))
		a.retry, a.keepDue = 0, time.Now()
		return
	}
	next.Phase = deployment.Applying
	if over {
		next.Phase = deployment.Failed
		a.note(deployment.Failed, next.Error)
	}
	a.wait(err)
	if a.memory.Begun != "" && !begun {
		// What an earlier deployment left half done is not to wait for this one.
		a.keepDue = time.Now()
	}
}

// compared says what became of the comparison with the last good deployment.
func (a *agent) compared(next *deployment.Status, err error) {
	good := a.memory.LastGood
	switch {
	case a.refused():
		r := a.memory.Refused
		next.Revision, next.Error = r.Revision, r.Error
		next.Phase = deployment.RolledBack
		if err != nil {
			next.Phase, next.Error = deployment.RollingBack, r.Error+"; cannot go back yet: "+bounded(err, maxText)
		} else if a.status.current.Phase != deployment.RolledBack {
			a.log.Infof("revision %s is in place again", short(good))
			a.note(deployment.RolledBack, r.Error)
		}
	case a.wanted.revision == good || errors.Is(a.wanted.err, fs.ErrNotExist):
		next.Revision, next.Error, next.Phase = good, bounded(err, maxText), deployment.Applied
		if err != nil {
			next.Phase = deployment.Failed
		} else if a.status.current.Phase != deployment.Applied {
			a.log.Infof("revision %s is applied", short(good))
			a.note(deployment.Applied, "")
		}
	default:
		// What is wrong with the manifest stays said.
	}
	if !a.open() {
		a.wait(err)
		return
	}
	a.keepDue = time.Now().Add(refreshEvery)
}

// wait sets when to go on after a job that ended with err.
func (a *agent) wait(err error) {
	if err == nil {
		a.retry, a.said = 0, ""
		a.tryDue, a.keepDue = time.Now().Add(refreshEvery), time.Now().Add(refreshEvery)
		return
	}
	a.sayOnce(err.Error())
	most := retryMost
	if a.memory.Begun != "" {
		most = retryBetween
	}
	a.retry = min(max(2*a.retry, retryFirst), most)
	a.tryDue, a.keepDue = time.Now().Add(a.retry), time.Now().Add(a.retry)
	if a.open() {
		a.keepDue = time.Now().Add(refreshEvery)
	}
}

// note writes into the history how the wanted deployment is.
func (a *agent) note(phase deployment.Phase, text string) {
	d, revision := a.wanted.deployment, a.wanted.revision
	if d == nil {
		return
	}
	e := deployment.Entry{Revision: revision, Phase: phase, Error: text, Modules: len(d.Modules)}
	if err := a.history.note(e, a.memory.LastGood); err != nil {
		a.log.WithError(err).Warn("the history of deployments is not complete")
	}
}

// report writes a new phase. How modules are stays known, but what went wrong with them
// under another revision is not this one's doing.
func (a *agent) report(s deployment.Status) {
	s.Modules = maps.Clone(a.status.current.Modules)
	if s.Revision != a.status.current.Revision {
		for name, m := range s.Modules {
			if m.Progress, m.Error = "", ""; m.State == "absent" {
				delete(s.Modules, name)
			} else {
				s.Modules[name] = m
			}
		}
	}
	a.write(s)
}

// write writes a status, with what a job under way does.
func (a *agent) write(s deployment.Status) {
	s.LastGood = a.memory.LastGood
	if a.job != nil {
		if have, seen, doing, trouble := a.reconciler.Progress.Snapshot(); seen {
			s.Modules = modulesStatus(have, doing, trouble)
		}
	}
	if s.Modules == nil {
		s.Modules = map[string]deployment.Module{}
	}
	if err := a.status.set(s); err != nil {
		a.log.WithError(err).Warn("nobody can see what the agent does")
	}
}
