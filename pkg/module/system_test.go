package module

import (
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestAModuleOfEdgedsOwnIsKeptAndOnNoList(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.create(spec("a"))
		require.NoError(t, d.s.RestSystem(t.Context(), OSGiHost), "there is none")
		require.NoError(t, d.s.KeepSystem(t.Context(), spec(OSGiHost), ""))
		require.True(t, d.engine.runs(ContainerID(OSGiHost, 1)))
		require.True(t, d.table.Instances()[0].System)
		require.Equal(t, []string{"a"}, names(d.s.List(t.Context())))
		require.Equal(t, []string{"a", OSGiHost}, names(d.s.All(t.Context())))
		require.NoError(t, d.s.KeepSystem(t.Context(), spec(OSGiHost), d.state(OSGiHost).ImageDigest))
		require.EqualValues(t, 1, d.state(OSGiHost).Generation, "the same changes nothing")
		require.NoError(t, d.s.KeepSystem(t.Context(), changed(OSGiHost), ""))
		require.EqualValues(t, 2, d.state(OSGiHost).Generation)
		require.NoError(t, d.s.KeepSystem(t.Context(), changed(OSGiHost), "sha256:another"))
		require.EqualValues(t, 3, d.state(OSGiHost).Generation, "its image is another")
		require.NoError(t, d.s.RestSystem(t.Context(), OSGiHost))
		require.False(t, d.engine.runs(ContainerID(OSGiHost, 3)))
		require.NoError(t, d.s.KeepSystem(t.Context(), changed(OSGiHost), ""))
		require.True(t, d.engine.runs(ContainerID(OSGiHost, 3)), "it rested, nobody held it")
	})
}

func names(states []*State) []string {
	var all []string
	for _, st := range states {
		all = append(all, st.Spec.Name)
	}
	return all
}

func TestAHostUserHoldsAModuleOfEdgedsOwn(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		require.NoError(t, d.s.KeepSystem(t.Context(), spec(OSGiHost), ""))
		require.NoError(t, d.s.Stop(t.Context(), OSGiHost, true))
		require.NoError(t, d.s.KeepSystem(t.Context(), changed(OSGiHost), ""))
		require.False(t, d.engine.runs(ContainerID(OSGiHost, 1)))
		require.True(t, d.s.Held(OSGiHost))
		require.NoError(t, d.s.Start(t.Context(), OSGiHost))
		require.NoError(t, d.s.KeepSystem(t.Context(), changed(OSGiHost), ""))
		require.True(t, d.engine.runs(ContainerID(OSGiHost, 2)))
	})
}

func TestNamesOfEdgedsOwnModulesAreReserved(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		require.NoError(t, d.s.KeepSystem(t.Context(), spec(OSGiHost), ""))
		for _, name := range []string{OSGiHost, "$" + OSGiHost} {
			_, err := d.s.Create(t.Context(), spec(name))
			require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
			require.ErrorContains(t, err, "reserved")
			_, err = d.s.Update(t.Context(), spec(name), true, nil)
			require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
			require.ErrorIs(t, d.s.Prepare(t.Context(), spec(name)), errdefs.ErrInvalidArgument)
			require.ErrorIs(t, d.s.Check(spec(name)), errdefs.ErrInvalidArgument)
			require.ErrorIs(t, d.s.Delete(t.Context(), name), errdefs.ErrInvalidArgument)
		}
		require.True(t, d.engine.runs(ContainerID(OSGiHost, 1)))
	})
}
