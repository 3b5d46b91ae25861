package engine

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
)

// fakeLeases is containerd's lease manager: it lengthens none, and knows what each holds.
type fakeLeases struct {
	leases.Manager
	all  map[string]leases.Lease
	held map[string][]leases.Resource
}

func (f *fakeLeases) Create(_ context.Context, opts ...leases.Opt) (leases.Lease, error) {
	var l leases.Lease
	for _, opt := range opts {
		if err := opt(&l); err != nil {
			return l, err
		}
	}
	if _, ok := f.all[l.ID]; ok {
		return l, errdefs.ErrAlreadyExists
	}
	f.all[l.ID] = l
	return l, nil
}

func (f *fakeLeases) Delete(_ context.Context, l leases.Lease, _ ...leases.DeleteOpt) error {
	if _, ok := f.all[l.ID]; !ok {
		return errdefs.ErrNotFound
	}
	delete(f.all, l.ID)
	delete(f.held, l.ID)
	return nil
}

func (f *fakeLeases) List(context.Context, ...string) ([]leases.Lease, error) {
	return slices.Collect(maps.Values(f.all)), nil
}

func (f *fakeLeases) AddResource(_ context.Context, l leases.Lease, r leases.Resource) error {
	if _, ok := f.all[l.ID]; !ok {
		return fmt.Errorf("lease %q: %w", l.ID, errdefs.ErrNotFound)
	}
	f.held[l.ID] = append(f.held[l.ID], r)
	return nil
}

func (f *fakeLeases) ListResources(_ context.Context, l leases.Lease) ([]leases.Resource, error) {
	return f.held[l.ID], nil
}

func leasingEngine(t *testing.T) (*Engine, *fakeLeases) {
	f := &fakeLeases{all: map[string]leases.Lease{}, held: map[string][]leases.Resource{}}
	c, err := client.New("", client.WithServices(client.WithLeasesService(f)))
	require.NoError(t, err)
	log := logrus.New()
	log.SetOutput(io.Discard)
	e := &Engine{Config: Config{Namespace: "edged", Log: log}, client: c, making: map[string]bool{}}
	e.flights.init()
	return e, f
}

func TestThePullOfAnImageTakesUpItsLease(t *testing.T) {
	e, f := leasingEngine(t)
	take := func(name string) string {
		ctx, err := e.leaseFor(t.Context(), name)
		require.NoError(t, err)
		id, ok := leases.FromContext(ctx)
		require.True(t, ok)
		require.Equal(t, owner, f.all[id].Labels[labelOwner])
		return id
	}
	first, other := take("a"), take("b")
	require.NotEqual(t, first, other)
	require.Equal(t, first, take("a"))
	e.giveUpLease(t.Context(), "a")
	require.Equal(t, []string{other}, slices.Collect(maps.Keys(f.all)))
}

func TestAnOldPullLeaseHandsOverWhatItHolds(t *testing.T) {
	part := leases.Resource{ID: "layer-sha256:1", Type: "ingests"}
	for name, left := range map[string]time.Duration{"expired": -time.Hour, "about to": time.Minute, "young": 23 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			e, f := leasingEngine(t)
			old, err := f.Create(t.Context(), leases.WithID(leasesOf("a")), leases.WithExpiration(left))
			require.NoError(t, err)
			require.NoError(t, f.AddResource(t.Context(), old, part))
			ctx, err := e.leaseFor(t.Context(), "a")
			require.NoError(t, err)
			id, _ := leases.FromContext(ctx)
			require.Equal(t, name == "young", id == old.ID)
			require.Len(t, f.all, 1)
			require.True(t, isFresh(f.all[id]))
			require.Equal(t, []leases.Resource{part}, f.held[id])
		})
	}
}

func TestAnOperationsLeaseIsKnownForEdgeds(t *testing.T) {
	e, f := leasingEngine(t)
	ctx, release, err := e.ownLease(t.Context(), "unpack")
	require.NoError(t, err)
	id, ok := leases.FromContext(ctx)
	require.True(t, ok)
	require.Equal(t, owner, f.all[id].Labels[labelOwner])
	bare, ok := strings.CutPrefix(id, opLease)
	require.True(t, ok, "a clean-up finds it")
	require.True(t, e.isMaking(bare), "and leaves it alone meanwhile")
	inner, done, err := e.ownLease(ctx, "unpack")
	require.NoError(t, err)
	done()
	again, _ := leases.FromContext(inner)
	require.Equal(t, id, again)
	require.Len(t, f.all, 1)
	release()
	require.Empty(t, f.all)
	require.False(t, e.isMaking(bare))
}
