package bundle

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
)

// Connected takes in a framework that came up, in place of the one before. It returns at
// once; Run brings it to what is remembered.
func (b *Bundles) Connected(f Framework) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if before := cmp.Or(b.session, b.last); before != nil && before.Run() != f.Run() {
		b.blame(before) // a connection can end, and the framework run on
	}
	b.last = nil
	b.session = &session{Framework: f, updated: map[string]bool{}}
	b.woken()
}

// Run lets the framework run while there are bundles, and brings each that comes up to what
// is remembered, until ctx ends.
func (b *Bundles) Run(ctx context.Context) {
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	rests := false
	for ctx.Err() == nil {
		b.mu.Lock()
		s, wake, wanted := b.session, b.wake, len(b.rows.all) > 0
		var ended <-chan struct{}
		if s != nil {
			ended = s.Done()
		}
		b.mu.Unlock()
		switch {
		case wanted:
			b.Host.Want()
			rests = false
		case !rests:
			idle.Reset(idleTime)
		}
		if s != nil && s.ended() {
			b.forget(s)
			continue
		}
		var again <-chan time.Time
		if s != nil {
			b.settleInTurn(ctx, s)
			again = time.After(compareEvery)
			if !b.isSettled(s) {
				again = time.After(settleRetry)
			}
		}
		select {
		case <-wake:
		case <-again:
			b.compare(s)
		case <-ended:
		case <-idle.C:
			rests = b.restInTurn(ctx)
		case <-ctx.Done():
		}
	}
}

// restInTurn lets the framework run no longer while there are no bundles. Whoever installs one
// meanwhile waits, and wants it again. It says whether the framework rests.
func (b *Bundles) restInTurn(ctx context.Context) bool {
	if b.take(ctx) != nil {
		return false
	}
	defer b.giveBack()
	if len(b.current().all) > 0 {
		return false
	}
	if err := b.Host.Rest(ctx); err != nil && ctx.Err() == nil {
		b.Log.WithError(err).Warn("cannot stop the OSGi framework, which has no bundles")
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.session = nil
	return true
}

// settleInTurn is for a framework that came up while nobody waited for it.
func (b *Bundles) settleInTurn(ctx context.Context, s *session) {
	if b.isSettled(s) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	if b.take(ctx) != nil {
		return
	}
	defer b.giveBack()
	if err := b.settle(ctx, s); err != nil && ctx.Err() == nil {
		b.Log.WithError(err).Warn("cannot bring the OSGi framework to what is remembered; trying again")
	}
}

// compare looks whether a framework still is as it is remembered. An operation that took too
// long may have come about since, and bundles can change others.
func (b *Bundles) compare(s *session) {
	if s.ended() || !b.isSettled(s) {
		return
	}
	select {
	case b.turn <- struct{}{}:
		defer b.giveBack()
	default:
		return // somebody changes something just now
	}
	has := s.Picture()
	known := map[string]bool{}
	for _, r := range b.current().all {
		known[r.Location()] = true
		a, ok := has.ByLocation[r.Location()]
		if !ok || a.Digest != "" && a.Digest != r.Digest.String() || a.Persistent && !r.Started {
			b.Log.WithField("bundle", r.Key).Warn("the OSGi framework has it otherwise than is remembered")
			b.unsettle(s)
			return
		}
	}
	for _, a := range has.All {
		if strings.HasPrefix(a.Location, locationPrefix) && !known[a.Location] {
			b.Log.WithField("bundle", a.Location).Warn("the OSGi framework has a bundle that is not remembered")
			b.unsettle(s)
			return
		}
	}
}

func (b *Bundles) isSettled(s *session) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return s.settled
}

// unsettle is for a framework that is not as it is remembered: Run brings it there. Without
// one it does nothing.
func (b *Bundles) unsettle(s *session) {
	if s == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s.settled = false
	b.woken()
}

// forget is for a framework that ended: nothing is known of states until the next.
func (b *Bundles) forget(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session == s {
		b.session, b.last = nil, s
		b.woken()
	}
}

// framework returns the one that runs, with all bundles as they are remembered; nil when this
// device has none. The caller has the turn. Errors: Unavailable.
func (b *Bundles) framework(ctx context.Context) (*session, error) {
	b.Host.Want()
	limit := time.NewTimer(hostPatience)
	defer limit.Stop()
	for {
		s, wake, err := b.running(ctx)
		if s == nil && wake == nil {
			return nil, err
		}
		if s != nil {
			if err := b.settle(ctx, s); err == nil {
				return s, nil
			} else if !s.ended() {
				return nil, err
			}
			b.forget(s) // a bundle may end several, until it is held
			continue
		}
		select {
		case <-wake:
		case <-limit.C:
			return nil, b.unavailable(ctx)
		case <-ctx.Done():
			return nil, b.unavailable(ctx)
		}
	}
}

// running returns the framework that runs, or a channel to wait for one by; neither when there
// is none on this device, or an error.
func (b *Bundles) running(ctx context.Context) (*session, <-chan struct{}, error) {
	b.mu.Lock()
	s, wake := b.session, b.wake
	b.mu.Unlock()
	if s != nil && !s.ended() {
		return s, nil, nil
	}
	installed, err := b.Host.Installed(ctx)
	if err != nil || !installed {
		return nil, nil, err
	}
	return nil, wake, nil
}

func (b *Bundles) unavailable(ctx context.Context) error {
	return fmt.Errorf("the OSGi framework does not run: %s: %w", b.Host.Why(context.WithoutCancel(ctx)), errdefs.ErrUnavailable)
}
