package mgmt

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
)

func TestAListIsMadeAnewOnlyWhenItIsAnother(t *testing.T) {
	views := NewViews()
	first, second := stateOf(specOf("one")), stateOf(specOf("two"))
	states := []*module.State{first, second}
	body := views.List(states, false)
	require.Same(t, &body[0], &views.List(states, false)[0], "the same slice is the same answer")
	require.JSONEq(t, string(body), string(views.List([]*module.State{first, second}, false)))

	require.NotContains(t, string(views.List([]*module.State{first}, false)), `"two"`)
	changed := *second
	changed.Status.Runtime = module.Failed
	require.Contains(t, string(views.List([]*module.State{first, &changed}, false)), `"failed"`)
	require.Equal(t, `{"modules":[]}`, string(views.List(nil, false)))
	require.Equal(t, `{"modules":[]}`, string(views.List([]*module.State{}, false)))
}

func TestEachFormHasAListOfItsOwn(t *testing.T) {
	views := NewViews()
	spec := specOf("one")
	spec.Env = []module.EnvVar{{Key: "TOKEN", Value: "secret"}}
	states := []*module.State{stateOf(spec)}
	for range 2 { // the second time from what was kept
		require.Contains(t, string(views.List(states, true)), "secret")
		require.NotContains(t, string(views.List(states, false)), "secret")
		require.Contains(t, string(views.One(states[0], true)), "secret")
		require.NotContains(t, string(views.One(states[0], false)), "secret")
	}
}

func TestWhatAFailingCheckPrintedIsForThoseWhoSeeEnvironments(t *testing.T) {
	state := stateOf(specOf("target"))
	state.Status.Runtime, state.Status.Description = module.Running, "running (unhealthy: the check ended with exit code 1)"
	state.Status.Health = &module.Health{Status: module.Unhealthy, Checks: []module.CheckResult{{Probed: module.Probed{Code: 1, Output: "cannot reach\n\tdb:5432 \xff" + strings.Repeat("x", 4000)}}}}
	full, bare := encode(state, true), encode(state, false)
	require.Equal(t, "running (unhealthy: the check ended with exit code 1)", bare.Status.RuntimeStatus.Description)
	require.True(t, strings.HasPrefix(full.Status.RuntimeStatus.Description, bare.Status.RuntimeStatus.Description+": cannot reach db:5432 \ufffdxxx"), full.Status.RuntimeStatus.Description)
	require.Less(t, len(full.Status.RuntimeStatus.Description), 300)
	state.Status.Health.Status = module.Healthy
	require.Equal(t, bare.Status.RuntimeStatus.Description, encode(state, true).Status.RuntimeStatus.Description)
}
