package image

import (
	"context"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestAnOperationAndARemovalOfOneImageExcludeEachOther(t *testing.T) {
	g := newGate()
	release := g.hold("a")
	again := g.hold("a")
	_, ok := g.begin("a")
	require.False(t, ok, "it is held")
	release()
	release() // a second call is none
	_, ok = g.begin("a")
	require.False(t, ok, "it is held once more")
	again()
	end, ok := g.begin("a")
	require.True(t, ok)
	_, ok = g.begin("a")
	require.False(t, ok, "it is being removed")
	_, ok = g.begin("b")
	require.True(t, ok, "which is no other's affair")

	held := make(chan func())
	go func() { held <- g.hold("a") }()
	select {
	case <-held:
		require.Fail(t, "held while it is being removed")
	case <-time.After(10 * time.Millisecond):
	}
	end()
	(<-held)()
	require.False(t, g.isHeld("a"))
}

func TestHoldsAreByTheNameUnderWhichImagesAreKept(t *testing.T) {
	d := newDevice()
	d.have("docker.io/library/alpine:latest", old)
	k := keeper(t, d)
	release := k.Hold("alpine")
	list, err := k.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, KeptOperation, list[0].Kept)
	removed, err := k.Prune(t.Context(), true)
	require.NoError(t, err)
	require.Empty(t, removed)
	release()
	removed, err = k.Prune(t.Context(), true)
	require.NoError(t, err)
	require.Len(t, removed, 1)
	require.NotPanics(t, k.Hold("UPPER//case"), "what is no reference is refused elsewhere")
}

func TestAPullGoesOnWithoutItsClientAndIsKept(t *testing.T) {
	d := newDevice()
	begun, finish := make(chan struct{}), make(chan struct{})
	d.pull = func(ctx context.Context, _ string, report func(Progress)) error {
		report(Progress{Phase: Downloading})
		report(Progress{Phase: Unpacking}) // nobody has to read
		report(Progress{Phase: Unpacking})
		close(begun)
		select {
		case <-finish:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	k := keeper(t, d)
	ctx, leave := context.WithCancel(t.Context())
	answered := make(chan error)
	go func() {
		_, err := k.Pull(ctx, "r.example/a:1", nil, func(Progress) {})
		answered <- err
	}()
	<-begun
	leave()
	require.ErrorIs(t, <-answered, context.Canceled)
	require.True(t, k.gate.isHeld("r.example/a:1"))
	close(finish)
	require.Eventually(t, func() bool { return !k.gate.isHeld("r.example/a:1") }, 10*time.Second, time.Millisecond)
	require.Equal(t, []string{"r.example/a:1"}, d.left())
	require.Contains(t, d.uses, "r.example/a:1")
}

func TestPullsThatAreNone(t *testing.T) {
	d := newDevice()
	d.pull = func(context.Context, string, func(Progress)) error { return errdefs.ErrUnavailable }
	k := keeper(t, d)
	for ref, class := range map[string]error{
		"":                     errdefs.ErrInvalidArgument,
		"UPPER//case":          errdefs.ErrInvalidArgument,
		"edged.local/agent:1":  errdefs.ErrInvalidArgument,
		"r.example/missing:1 ": errdefs.ErrInvalidArgument,
		"r.example/a:1":        errdefs.ErrUnavailable,
	} {
		_, err := k.Pull(t.Context(), ref, nil, func(Progress) {})
		require.ErrorIs(t, err, class, ref)
	}
	k.Close()
	_, err := k.Pull(t.Context(), "r.example/a:1", nil, func(Progress) {})
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
}

func TestDisksAreCountedAsDfDoes(t *testing.T) {
	for _, tc := range []struct {
		disk Disk
		want int
	}{{Disk{}, 0}, {Disk{50, 50}, 50}, {Disk{84, 16}, 84}, {Disk{841, 159}, 85}, {Disk{100, 0}, 100}} {
		require.Equal(t, tc.want, tc.disk.Percent(), "%+v", tc.disk)
	}
}

func TestAnImageWithUsersIsNotRemovedByAWayOfItsOwn(t *testing.T) {
	d := newDevice()
	d.have("r.example/a:1", old)
	k := keeper(t, d)
	removed := 0
	remove := func(context.Context) error {
		removed++
		_, ok := k.gate.begin("r.example/a:1")
		require.False(t, ok, "nobody else removes it meanwhile")
		return nil
	}
	without := func() error {
		return k.WithoutUsers(t.Context(), "r.example/a:1", digestOf("r.example/a:1"), remove)
	}
	release := k.Hold("r.example/a:1")
	require.ErrorIs(t, without(), errdefs.ErrFailedPrecondition, "a module is being made of it")
	release()
	d.named["m"] = Named{"m", "r.example/a:1", ""}
	err := without()
	require.ErrorIs(t, err, errdefs.ErrFailedPrecondition)
	require.ErrorContains(t, err, "m")
	d.named["m"] = Named{"m", "r.example/other:1", digestOf("r.example/a:1")}
	require.ErrorIs(t, without(), errdefs.ErrFailedPrecondition, "by its digest")
	delete(d.named, "m")
	require.Zero(t, removed)
	require.NoError(t, without())
	require.Equal(t, 1, removed)
	require.NotContains(t, d.uses, "r.example/a:1")
	require.NoError(t, without(), "its name is free again")
}
