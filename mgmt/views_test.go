package mgmt

import (
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
