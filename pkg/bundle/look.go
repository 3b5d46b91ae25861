package bundle

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/pack/osgi"
)

// Info is what is told of a bundle.
type Info struct {
	Kind  Kind
	State State
	// Module is the contract's word for what a module does; empty for other kinds.
	Module ModuleState
}

// ModuleState is the contract's word for what a module does.
type ModuleState string

// Those of the contract's words that there is a reason for here.
const (
	ModuleInstalled    ModuleState = "INSTALLED"
	ModuleUpdated      ModuleState = "UPDATED" // not resolved since it was given other bytes
	ModuleIncompatible ModuleState = "INCOMPATIBLE_VERSION"
	ModuleResolved     ModuleState = "RESOLVED"
	ModuleStarting     ModuleState = "STARTING"
	ModuleStarted      ModuleState = "STARTED"
	ModuleStopping     ModuleState = "STOPPING"
)

// Named is a bundle with the text of its key.
type Named struct {
	Key string
	Info
}

// Info returns one bundle. Errors: InvalidArgument (the key has no version), NotFound,
// Unavailable (the framework does not run, so nobody knows).
func (b *Bundles) Info(ctx context.Context, key string) (Info, error) {
	all, err := b.Infos(ctx, []string{key})
	if err != nil {
		return Info{}, err
	}
	return all[0].Info, nil
}

// CheckKeys says what is wrong with keys before any is looked up. The error is that of Info.
func CheckKeys(keys []string) error {
	for _, text := range keys {
		if _, ok := ParseKey(text); !ok {
			return invalidKey(text)
		}
	}
	return nil
}

// Infos returns bundles by their keys, under the texts that were asked for, each once.
// Errors: as of Info, of the first that has one.
func (b *Bundles) Infos(ctx context.Context, keys []string) ([]Named, error) {
	rows := b.current()
	var found []*Record
	var texts []string
	seen := map[string]bool{}
	for _, text := range keys {
		k, ok := ParseKey(text)
		if !ok {
			return nil, invalidKey(text)
		}
		r := rows.byID[k.unique()]
		if r == nil {
			return nil, notFound(text)
		}
		if !seen[text] {
			seen[text] = true
			found, texts = append(found, r), append(texts, text)
		}
	}
	return b.tell(ctx, found, func(i int) string { return texts[i] })
}

// Select returns the bundles of a selector, in the order in which they came. The error is
// Unavailable.
func (b *Bundles) Select(ctx context.Context, s Selector) ([]Named, error) {
	var found []*Record
	for _, r := range b.current().all {
		if s.has(r.Key) {
			found = append(found, r)
		}
	}
	return b.tell(ctx, found, func(i int) string { return found[i].Key.String() })
}

// tell says what there is to say of bundles that were found.
func (b *Bundles) tell(ctx context.Context, found []*Record, text func(i int) string) ([]Named, error) {
	if len(found) == 0 {
		return nil, nil
	}
	s, err := b.fresh(ctx)
	if err != nil {
		return nil, err
	}
	if s != nil {
		b.noteResolved(s)
	}
	all := make([]Named, len(found))
	for i, r := range found {
		all[i] = Named{text(i), b.info(s, r)}
	}
	return all, nil
}

// fresh is look, of a framework that is there now: one that died a moment ago may not be
// known to have ended, and what it said is not so any more.
func (b *Bundles) fresh(ctx context.Context) (*session, error) {
	for {
		s, err := b.look(ctx)
		if s == nil || err != nil {
			return nil, err
		}
		asking, cancel := context.WithTimeout(ctx, pingTimeout)
		err = s.Ping(asking)
		cancel()
		switch {
		case err == nil:
			return s, nil
		case !s.ended():
			return nil, err // it is stuck
		}
		b.forget(s)
	}
}

// look returns the framework to read from: one that has all bundles, unless that takes too
// long. It is nil when this device has none.
func (b *Bundles) look(ctx context.Context) (*session, error) {
	limit := time.NewTimer(lookPatience)
	defer limit.Stop()
	for {
		s, wake, err := b.running(ctx)
		switch {
		case s == nil && wake == nil:
			return nil, err
		case s != nil && b.isSettled(s):
			return s, nil
		case s != nil:
			b.mu.Lock()
			wake = b.wake
			b.mu.Unlock()
			if b.isSettled(s) {
				return s, nil
			}
		}
		select {
		case <-wake:
		case <-limit.C:
			if s != nil {
				return s, nil // it runs, and what it says is true
			}
			return nil, b.unavailable(ctx)
		case <-ctx.Done():
			return nil, fmt.Errorf("the client left: %w", errdefs.ErrUnavailable)
		}
	}
}

// noteResolved forgets that bundles were given other bytes which are resolved since.
func (b *Bundles) noteResolved(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(s.updated) == 0 {
		return
	}
	now := s.Picture()
	maps.DeleteFunc(s.updated, func(location string, _ bool) bool { return now.ByLocation[location].State != Installed })
}

func (b *Bundles) info(s *session, r *Record) Info {
	i := Info{Kind: r.Kind, State: Installed}
	updated := false
	if s != nil {
		i.State = Uninstalled // the framework refused it
		if a, ok := s.Picture().ByLocation[r.Location()]; ok {
			i.State = a.State
		}
		b.mu.Lock()
		updated = s.updated[r.Location()]
		b.mu.Unlock()
	}
	if r.Kind == Module {
		i.Module = b.moduleState(r, i.State, updated)
	}
	return i
}

func (b *Bundles) moduleState(r *Record, s State, updated bool) ModuleState {
	switch s {
	case Installed:
		switch {
		case r.RequiredVersion != "" && !osgi.Serves(b.ServerVersion, r.RequiredVersion):
			return ModuleIncompatible
		case updated:
			return ModuleUpdated
		}
		return ModuleInstalled
	case Resolved:
		return ModuleResolved
	case Starting:
		return ModuleStarting
	case Active:
		return ModuleStarted
	case Stopping:
		return ModuleStopping
	}
	return "" // the framework does not have it, and the contract has no word for that
}
