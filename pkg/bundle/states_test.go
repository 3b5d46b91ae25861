package bundle

import (
	"encoding/json"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

// stored is what the database has.
func (r *rig) stored() []PersistentState {
	r.t.Helper()
	var all []PersistentState
	require.NoError(r.t, json.Unmarshal([]byte(r.store.notes[statesNote]), &all))
	return all
}

func id(n int64) *int64 { return &n }

func TestPersistentStatesAreOfAllThatTheFrameworkHas(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("a", "1", "Jahia-GroupId", "g", "Implementation-Version", "1-SNAPSHOT"))
		r.install(jar("b", "2"))
		states, err := r.StoreStates(t.Context())
		require.NoError(t, err)
		want := []PersistentState{
			{"framework", "System Bundle", id(0), 32, "3.18.0", 0},
			{"a", "dx:g/a/1.0.0", id(1), 32, "1-SNAPSHOT", 80},
			{"b", "dx:b/2.0.0", id(2), 2, "2.0.0", 80},
		}
		require.Equal(t, want, states)
		require.Equal(t, want, r.stored())
		text, err := json.Marshal(states[1])
		require.NoError(t, err)
		require.Equal(t, `{"symbolicName":"a","location":"dx:g/a/1.0.0","id":1,"state":32,"version":"1-SNAPSHOT","startLevel":80}`, string(text))
	})
}

func TestPersistentStatesAreOfWhatIsWanted(t *testing.T) {
	bare(t, func(t *testing.T, r *rig) {
		states, err := r.StoredStates(t.Context())
		require.NoError(t, err)
		require.Equal(t, []PersistentState{}, states)
		states, err = r.StoreStates(t.Context())
		require.NoError(t, err, "no framework is woken without a bundle")
		require.Empty(t, states)
		require.False(t, r.host.wants())
		r.host.absent = true
		r.install(jar("a", "1"))
		states, err = r.StoreStates(t.Context())
		require.NoError(t, err)
		require.Equal(t, []PersistentState{{"a", "dx:a/1.0.0", nil, 2, "1.0.0", 80}}, states)
	})
}

func TestStatesAreStoredAfterEachChange(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		state := func() int { return r.stored()[len(r.stored())-1].State }
		r.install(jar("a", "1", "Import-Package", "p"))
		require.Equal(t, 2, state())
		require.Error(t, r.op(t.Context(), "start", "a"))
		require.Equal(t, 32, state(), "what is to be, not what is")
		r.do("stop", "a")
		require.Equal(t, 2, state())
		r.store.notes[statesNote] = "[]"
		r.do("refresh", "a")
		require.Empty(t, r.stored(), "a refresh changes nothing of it")
		r.do("update", "a")
		require.Len(t, r.stored(), 2)
		r.do("uninstall", "a")
		require.Len(t, r.stored(), 1)
	})
}

func TestStatesAreRestored(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("a", "1"), jar("c", "1"))
		r.install(jar("b", "1"), jar("a", "2"))
		before, wanted := r.stored(), r.wanted()
		r.do("start", "a/2")
		r.do("stop", "c")
		r.do("start", "b")
		r.do("start", "a/2")
		keys, err := r.RestoreStates(t.Context(), before)
		require.NoError(t, err)
		require.Equal(t, []Key{{"", "a", "1.0.0"}, {"", "c", "1.0.0"}, {"", "b", "1.0.0"}, {"", "a", "2.0.0"}}, keys)
		require.Equal(t, wanted, r.wanted())
		require.Equal(t, "a/1.0.0 ACTIVE*, a/2.0.0 INSTALLED, b/1.0.0 RESOLVED, c/1.0.0 ACTIVE*", r.states())
		keys, err = r.RestoreStates(t.Context(), nil)
		require.NoError(t, err)
		require.Empty(t, keys, "as stored last: nothing is another")
		r.settled()
	})
}

func TestNothingIsRestoredOfStatesThatAreWrong(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("a", "1"))
		stop := PersistentState{Location: "dx:a/1.0.0", State: 2, StartLevel: 80}
		for name, tc := range map[string]struct {
			state PersistentState
			is    func(error) bool
		}{
			"gone":          {PersistentState{Location: "dx:b/1.0.0", State: 32, StartLevel: 80}, errdefs.IsNotFound},
			"no key":        {PersistentState{Location: "dx:b", State: 32, StartLevel: 80}, errdefs.IsInvalidArgument},
			"no such state": {PersistentState{Location: "dx:a/1.0.0", State: 4, StartLevel: 80}, errdefs.IsInvalidArgument},
		} {
			_, err := r.RestoreStates(t.Context(), []PersistentState{stop, tc.state})
			require.True(t, tc.is(err), "%s: %v", name, err)
			require.Equal(t, "a/1.0.0*", r.wanted(), name)
		}
		keys, err := r.RestoreStates(t.Context(), []PersistentState{
			{Location: "System Bundle", State: 2, StartLevel: 0}, {Location: "file:x", State: 7, StartLevel: 1}, {Location: "dx:none/1", State: 2, StartLevel: 0},
		})
		require.NoError(t, err, "others than edged's own are passed over")
		require.Empty(t, keys)
		r.store.notes[statesNote] = "no JSON"
		_, err = r.RestoreStates(t.Context(), nil)
		require.ErrorContains(t, err, "cannot read the stored states of bundles")
		require.Equal(t, "a/1.0.0*", r.wanted())
	})
}

func TestStatesAreRestoredWithoutAHost(t *testing.T) {
	bare(t, func(t *testing.T, r *rig) {
		r.host.absent = true
		r.install(jar("a", "1"))
		_, err := r.RestoreStates(t.Context(), []PersistentState{{Location: "dx:a/1.0.0", State: 32, StartLevel: 80}})
		require.True(t, errdefs.IsUnavailable(err))
		require.Equal(t, "a/1.0.0*", r.wanted(), "it is remembered")
		_, err = r.RestoreStates(t.Context(), []PersistentState{{Location: "dx:a/1.0.0", State: 2, StartLevel: 80}})
		require.NoError(t, err)
		require.Equal(t, "a/1.0.0", r.wanted())
	})
}
