package bundle

import (
	"context"
	"slices"
	"strings"
)

// settle brings a framework to what is remembered: the bundles that it has, their bytes, and
// which of them are started. What it refuses of one bundle holds up no other. The caller has
// the turn. The error is of the session.
func (b *Bundles) settle(ctx context.Context, s *session) error {
	if b.isSettled(s) {
		return nil
	}
	if err := b.removeForeign(ctx, s); err != nil {
		return err
	}
	changed := false
	for _, r := range b.current().all {
		did, err := b.ensure(ctx, s, r)
		if err = b.tolerate(ctx, s, r, "cannot install", err); err != nil {
			return err
		}
		changed = changed || did
	}
	if changed {
		if err := b.refreshAll(ctx, s); err != nil {
			return err
		}
	}
	for _, r := range b.current().all {
		a, ok := s.Picture().ByLocation[r.Location()]
		if ok && a.Persistent && !r.Started {
			if err := b.tolerate(ctx, s, r, "cannot stop", b.stop(ctx, s, a.ID, false)); err != nil {
				return err
			}
		}
		if now := s.Picture().ByLocation[r.Location()]; ok && !r.Started && !now.Persistent {
			if err := b.tolerate(ctx, s, r, "cannot set the start level of", setStartLevel(ctx, s, now, bundleLevel)); err != nil {
				return err
			}
		}
	}
	if err := b.rise(ctx, s); err != nil {
		return err
	}
	if err := b.startPending(ctx, s); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s.settled = true
	b.woken()
	return nil
}

// removeForeign uninstalls bundles that came through edged and are not remembered.
func (b *Bundles) removeForeign(ctx context.Context, s *session) error {
	known := map[string]bool{}
	for _, r := range b.current().all {
		known[r.Location()] = true
	}
	removed := false
	for _, a := range s.Picture().All {
		if !strings.HasPrefix(a.Location, locationPrefix) || known[a.Location] {
			continue
		}
		removed = true
		if err := b.uninstall(ctx, s, a.ID); err != nil {
			if s.ended() || ctx.Err() != nil {
				return err
			}
			b.Log.WithError(err).WithField("bundle", a.Location).Warn("cannot remove a bundle that is not remembered")
		}
	}
	if removed {
		return b.refreshAll(ctx, s)
	}
	return nil
}

// refreshAll makes anew what needs it. What the framework refuses there keeps it from nothing
// else.
func (b *Bundles) refreshAll(ctx context.Context, s *session) error {
	err := refresh(ctx, s)
	if err == nil || s.ended() || ctx.Err() != nil {
		return err
	}
	b.Log.WithError(err).Warn("cannot make bundles anew of what there is")
	return nil
}

// ensure makes the framework have a bundle with its bytes. It says whether it changed something.
func (b *Bundles) ensure(ctx context.Context, s *session, r *Record) (bool, error) {
	a, ok := s.Picture().ByLocation[r.Location()]
	switch {
	case !ok:
		return true, b.give(ctx, s, r, nil)
	case a.Digest != r.Digest.String():
		return true, b.give(ctx, s, r, &a)
	}
	return false, nil
}

// give hands the framework the bytes of a bundle, for a new one or for one that is there.
func (b *Bundles) give(ctx context.Context, s *session, r *Record, there *Actual) error {
	ctx, cancel := context.WithTimeout(ctx, bytesTimeout)
	defer cancel()
	bytes, err := b.Content.Open(ctx, r.Digest)
	if err != nil {
		return err
	}
	defer bytes.Close()
	if there == nil {
		_, err = s.Install(ctx, r.Location(), bytes.Whole(), bytes.Size)
	} else {
		_, err = s.Update(ctx, there.ID, bytes.Whole(), bytes.Size)
	}
	return err
}

// tolerate logs what went wrong with one bundle, and returns errors of the session.
func (b *Bundles) tolerate(ctx context.Context, s *session, r *Record, what string, err error) error {
	if err == nil || s.ended() || ctx.Err() != nil {
		return err
	}
	b.Log.WithError(err).WithField("bundle", r.Key).Warn(what + " a bundle")
	return nil
}

// startPending starts what is to be started and does not run, but what a request just tried.
// One that starts may be what another waits for, so it goes on as long as one does.
func (b *Bundles) startPending(ctx context.Context, s *session, tried ...*Record) error {
	started := tried // once each: there are bundles that stop themselves
	for progress := true; progress; {
		progress = false
		for _, r := range b.current().all {
			if !r.Started || r.fragment() || slices.Contains(started, r) || b.Held(r) {
				continue
			}
			a, ok := s.Picture().ByLocation[r.Location()]
			if !ok || a.State.runs() {
				continue
			}
			err := b.start(ctx, s, a.ID)
			if err == nil {
				progress = true
				started = append(started, r)
				continue
			}
			if s.ended() || ctx.Err() != nil {
				return err
			}
			b.Log.WithError(err).WithField("bundle", r.Key).Debug("a bundle that is to be started does not start yet")
		}
	}
	return nil
}

func (b *Bundles) start(ctx context.Context, s *session, id int64) error {
	ctx, cancel := context.WithTimeout(ctx, b.StartTimeout)
	defer cancel()
	return s.Start(ctx, id)
}

func (b *Bundles) stop(ctx context.Context, s *session, id int64, transient bool) error {
	ctx, cancel := context.WithTimeout(ctx, b.StartTimeout)
	defer cancel()
	return s.Stop(ctx, id, transient)
}

func (b *Bundles) uninstall(ctx context.Context, s *session, id int64) error {
	ctx, cancel := context.WithTimeout(ctx, b.StartTimeout)
	defer cancel()
	return s.Uninstall(ctx, id)
}

func refresh(ctx context.Context, s *session, ids ...int64) error {
	ctx, cancel := context.WithTimeout(ctx, wiringTimeout)
	defer cancel()
	return s.Refresh(ctx, ids...)
}
