package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// PersistentState is what is stored of a bundle to be restored: not what it does, but what is
// to be done with it. The members are in the contract's order; StartLevel is beside it.
type PersistentState struct {
	SymbolicName string `json:"symbolicName"`
	Location     string `json:"location"`
	// ID is the framework's; nil when there is none.
	ID *int64 `json:"id,omitempty"`
	// State is persistentStarted, or persistentStopped.
	State int `json:"state"`
	// Version is the implementation's, when there is one.
	Version    string `json:"version"`
	StartLevel int    `json:"startLevel"`
}

// The states of the OSGi core specification that say what is to be done.
const (
	persistentStopped = 2
	persistentStarted = 32
)

// Start levels: of bundles that came through edged, of the framework when all is as it is to
// be, and of what is not to be started with it.
const (
	bundleLevel = 80
	lastLevel   = 100
	parkedLevel = 101
)

// statesNote is where states are stored.
const statesNote = "bundle-states"

// StoreStates stores what is to be done with each bundle, those of the framework's own
// included, and returns it. The error is Unavailable.
func (b *Bundles) StoreStates(ctx context.Context) ([]PersistentState, error) {
	var states []PersistentState
	err := b.change(ctx, func(ctx context.Context) error {
		if _, err := b.frameworkIfWanted(ctx); err != nil {
			return err
		}
		if err := b.storeStates(ctx); err != nil {
			return err
		}
		var err error
		states, err = b.StoredStates(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return states, nil
}

// frameworkIfWanted is framework, but wakes none for a device without bundles.
func (b *Bundles) frameworkIfWanted(ctx context.Context) (*session, error) {
	if len(b.current().all) == 0 {
		return nil, nil
	}
	return b.framework(ctx)
}

// StoredStates are those that were stored last; none when nothing was.
func (b *Bundles) StoredStates(ctx context.Context) ([]PersistentState, error) {
	text, err := b.Store.Note(ctx, statesNote)
	if err != nil {
		return nil, err
	}
	states := []PersistentState{}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &states); err != nil {
			return nil, fmt.Errorf("cannot read the stored states of bundles: %w", err)
		}
	}
	return states, nil
}

// storeStates stores what is so now. The caller has the turn.
func (b *Bundles) storeStates(ctx context.Context) error {
	text, err := json.Marshal(b.states())
	if err != nil {
		return err
	}
	return b.Store.SetNote(ctx, statesNote, string(text))
}

// states are those of the framework, in its order, and of bundles that it does not have.
func (b *Bundles) states() []PersistentState {
	b.mu.Lock()
	rows, s := b.rows, b.session
	b.mu.Unlock()
	byLocation := make(map[string]*Record, len(rows.all))
	for _, r := range rows.all {
		byLocation[r.Location()] = r
	}
	states := []PersistentState{}
	had := map[string]bool{}
	if s != nil && !s.ended() {
		for _, a := range s.Picture().All {
			st := PersistentState{SymbolicName: a.SymbolicName, Location: a.Location, ID: &a.ID, State: persistent(a.Persistent), Version: a.Version, StartLevel: a.StartLevel}
			if r := byLocation[a.Location]; r != nil {
				st.State, st.Version = persistent(r.Started), version(r)
			}
			if a.ID == 0 {
				st.State = persistentStarted // the framework itself
			}
			had[a.Location] = true
			states = append(states, st)
		}
	}
	for _, r := range rows.all {
		if !had[r.Location()] {
			states = append(states, PersistentState{SymbolicName: r.Name, Location: r.Location(), State: persistent(r.Started), Version: version(r), StartLevel: bundleLevel})
		}
	}
	return states
}

func persistent(started bool) int {
	if started {
		return persistentStarted
	}
	return persistentStopped
}

func version(r *Record) string {
	if r.ImplementationVersion != "" {
		return r.ImplementationVersion
	}
	return r.Version
}

// RestoreStates does with each bundle what states say: those of them that came through edged.
// nil stands for what was stored last. It returns the bundles whose state was another.
// Nothing is done when one of them is not on the device any more. Errors: InvalidArgument
// (a state that is none), NotFound, *Failed, Unavailable.
func (b *Bundles) RestoreStates(ctx context.Context, states []PersistentState) ([]Key, error) {
	var changed []Key
	err := b.change(ctx, func(ctx context.Context) error {
		if states == nil {
			stored, err := b.StoredStates(ctx)
			if err != nil {
				return err
			}
			states = stored
		}
		starts, stops, err := b.toRestore(states)
		if err != nil {
			return err
		}
		for _, r := range append(starts, stops...) {
			changed = append(changed, r.Key)
		}
		if err := b.stopAll(ctx, stops); err != nil {
			return err
		}
		if len(starts) > 0 {
			return b.startAll(ctx, starts)
		}
		return b.after(ctx, nil)
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// toRestore sorts the bundles whose state is another than is to be.
func (b *Bundles) toRestore(states []PersistentState) (starts, stops []*Record, err error) {
	rows := b.current()
	for _, st := range states {
		text, ours := strings.CutPrefix(st.Location, locationPrefix)
		if !ours || st.StartLevel <= 0 {
			continue
		}
		key, ok := ParseKey(text)
		if !ok {
			return nil, nil, invalidKey(text)
		}
		r := rows.byID[key.unique()]
		switch {
		case r == nil:
			return nil, nil, notFound(text)
		case st.State == persistentStarted && !r.Started:
			starts = append(starts, r)
		case st.State == persistentStopped && r.Started:
			stops = append(stops, r)
		case st.State != persistentStarted && st.State != persistentStopped:
			return nil, nil, fmt.Errorf("the state %d of %s is neither %d (started) nor %d (stopped): %w", st.State, text, persistentStarted, persistentStopped, errdefs.ErrInvalidArgument)
		}
	}
	return starts, stops, nil
}

// stopAll stops bundles for good. The caller has the turn.
func (b *Bundles) stopAll(ctx context.Context, wanted []*Record) error {
	if len(wanted) == 0 {
		return nil
	}
	s, err := b.framework(ctx)
	if err != nil {
		return err
	}
	put := make([]*Record, len(wanted))
	for i, r := range wanted {
		is := *r
		is.Started = false
		put[i] = &is
	}
	if err := b.save(ctx, put); err != nil || s == nil {
		return err
	}
	for _, r := range put {
		a, err := b.actual(ctx, s, r)
		if err == nil {
			err = b.stop(ctx, s, a.ID, false)
		}
		if err := b.tolerate(ctx, s, r, "cannot stop", err); err != nil {
			return err
		}
	}
	return nil
}
