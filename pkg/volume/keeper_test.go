package volume

import (
	"context"
	"fmt"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestAVolumeIsInUseAsLongAsAModuleNamesIt(t *testing.T) {
	s := storeIn(t)
	own, orphan := Anonymous("app", "/v"), Anonymous("gone", "/v")
	s.mustMake(t, Wish{Name: "data"})
	s.mustMake(t, Wish{Name: "free"})
	s.mustMake(t, Wish{Name: "coming"})
	s.mustMake(t, Wish{Name: own, Module: "app"})
	s.mustMake(t, Wish{Name: orphan, Module: "gone"})
	s.Hold("new-g1", "new", []string{"coming"})
	k := &Keeper{Store: s, Uses: func(context.Context) (Uses, error) {
		return Uses{Modules: map[string]bool{"app": true, "b": true}, Named: map[string][]string{"data": {"b", "app"}}}, nil
	}}
	all, err := k.List(t.Context())
	require.NoError(t, err)
	users := map[string][]string{}
	for _, v := range all {
		users[v.Name] = v.Users
	}
	require.Equal(t, map[string][]string{"data": {"app", "b"}, "free": nil, "coming": nil, own: {"app"}, orphan: nil}, users)

	err = k.Remove(t.Context(), "data")
	require.True(t, errdefs.IsFailedPrecondition(err), "%v", err)
	require.ErrorContains(t, err, `volume "data" is in use by modules app, b`)
	require.True(t, errdefs.IsFailedPrecondition(k.Remove(t.Context(), own)))
	require.True(t, errdefs.IsFailedPrecondition(k.Remove(t.Context(), "coming")))
	require.True(t, errdefs.IsNotFound(k.Remove(t.Context(), "none")))

	removed, err := k.Prune(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"free", orphan}, removed)
	require.ElementsMatch(t, []string{"data", "coming", own}, s.left(t))
	removed, err = k.Prune(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{}, removed)
}

func TestNothingIsRemovedWhileUsersAreUnknown(t *testing.T) {
	s := storeIn(t)
	s.mustMake(t, Wish{Name: "data"})
	k := &Keeper{Store: s, Uses: func(context.Context) (Uses, error) { return Uses{}, fmt.Errorf("not yet: %w", errdefs.ErrUnavailable) }}
	require.True(t, errdefs.IsUnavailable(k.Remove(t.Context(), "data")))
	_, err := k.Prune(t.Context())
	require.True(t, errdefs.IsUnavailable(err))
	require.Equal(t, []string{"data"}, s.left(t))
}
