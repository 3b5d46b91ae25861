package bundle

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
)

// hangs says that a bundle is between two states and does not come out: its activator does
// not return. A framework lets nobody do anything with it then, and Java ends no thread.
func (b *Bundles) hangs(s *session, r *Record) bool {
	a, ok := s.Picture().ByLocation[r.Location()]
	return ok && !s.ended() && (a.State == Starting || a.State == Stopping)
}

// park gets a bundle that hangs out of the way: it is not started the next time, and the
// framework, with all others, runs anew. It returns that one. The caller has the turn.
func (b *Bundles) park(ctx context.Context, s *session, r *Record) (*session, error) {
	b.Log.WithField("bundle", r.Key).Warn("the bundle hangs; the OSGi framework is started anew without it")
	if err := setStartLevel(ctx, s, s.Picture().ByLocation[r.Location()], parkedLevel); err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.ends[r.Location()] = heldAfter // it would end the next one's start as well
	b.mu.Unlock()
	if err := b.Host.Restart(ctx); err != nil {
		return nil, err
	}
	b.forget(s)
	s, err := b.framework(ctx)
	if s == nil && err == nil {
		err = fmt.Errorf("the OSGi framework is gone: %w", errdefs.ErrUnavailable)
	}
	return s, err
}
