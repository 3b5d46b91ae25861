package bundle

import (
	"context"
	"errors"
	"time"
)

// A bundle can end the whole process, and when it is started with the framework does so
// again and again, with all others. So a framework comes up without edged's bundles; then
// edged lets it rise; and a bundle that was being started when the process ended, several
// times in a row, is held: left out until somebody starts it.

const (
	// heldAfter is how many ends in a row make a bundle held.
	heldAfter = 3
	// riseTimeout is how long the start of all bundles is waited for; one that hangs then does
	// so alone.
	riseTimeout = 20 * time.Second
)

// rise lets the framework start what is to be started.
func (b *Bundles) rise(ctx context.Context, s *session) error {
	for _, r := range b.current().all {
		a, ok := s.Picture().ByLocation[r.Location()]
		if !ok || !r.Started {
			continue
		}
		level := bundleLevel
		if b.Held(r) {
			level = parkedLevel
		}
		if a.StartLevel != level {
			if err := b.tolerate(ctx, s, r, "cannot set the start level of", setStartLevel(ctx, s, a, level)); err != nil {
				return err
			}
		}
	}
	rising, cancel := context.WithTimeout(ctx, riseTimeout)
	defer cancel()
	if err := s.SetLevel(rising, lastLevel); err != nil && (s.ended() || !errors.Is(rising.Err(), context.DeadlineExceeded)) {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range s.Picture().All {
		if a.State == Active {
			delete(b.ends, a.Location)
		}
	}
	return nil
}

// blame counts the end of a framework against the bundles that were being started. The caller
// holds b.mu.
func (b *Bundles) blame(s *session) {
	for _, r := range b.rows.all { // a framework can have any number of others, under any name
		a := s.Picture().ByLocation[r.Location()]
		if a.State != Starting || a.Lazy {
			continue
		}
		b.ends[a.Location]++
		if b.ends[a.Location] == heldAfter {
			b.Log.WithField("bundle", r.Key).Errorf("the OSGi framework ended %d times while it started this bundle, which is left out from now on, until somebody starts it", heldAfter)
		}
	}
}

// Held says whether a bundle is left out because frameworks ended while they started it.
func (b *Bundles) Held(r *Record) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ends[r.Location()] >= heldAfter
}

// forgive lets bundles be started again, by whoever wants that.
func (b *Bundles) forgive(all []*Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range all {
		delete(b.ends, r.Location())
	}
}

// setStartLevel says from which level of the framework on a bundle is started.
func setStartLevel(ctx context.Context, s *session, a Actual, level int) error {
	if a.StartLevel == level {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	return s.SetStartLevel(ctx, a.ID, level)
}
