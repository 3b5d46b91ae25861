package identity

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Store that may fail, and obeys contexts, as a database does.
type memory struct {
	all  map[string]Identity
	fail error
}

func (m *memory) Identities(context.Context) (list []Identity, err error) {
	for _, id := range m.all {
		list = append(list, id)
	}
	return list, m.fail
}

func (m *memory) SaveIdentity(ctx context.Context, id Identity) error {
	err := errors.Join(m.fail, ctx.Err())
	if err == nil {
		m.all[id.Module] = id
	}
	return err
}

func (m *memory) DeleteIdentity(ctx context.Context, name string) error {
	err := errors.Join(m.fail, ctx.Err())
	if err == nil {
		delete(m.all, name)
	}
	return err
}

func newRegistry(t *testing.T) (*Registry, *memory) {
	m := &memory{all: map[string]Identity{}}
	r, err := Open(t.Context(), m)
	require.NoError(t, err)
	return r, m
}

func TestANewGenerationIDComesOnlyFromDeleteAndCreate(t *testing.T) {
	r, m := newRegistry(t)
	ctx := t.Context()
	first, err := r.Create(ctx, "$edgeHub", "plant")
	require.NoError(t, err)
	require.Equal(t, Identity{Module: "edgeHub", ModuleID: "$edgeHub", ManagedBy: "plant", GenerationID: first.GenerationID}, first)
	require.Regexp(t, `^[A-Za-z0-9_-]{16,}$`, first.GenerationID)

	again, err := r.Create(ctx, "edgeHub", "other")
	require.NoError(t, err)
	require.Equal(t, first, again, "what is there stays as it is")
	changed, err := r.Update(ctx, "edgeHub", "other")
	require.NoError(t, err)
	require.Equal(t, "other", changed.ManagedBy)
	require.Equal(t, first.GenerationID, changed.GenerationID)
	changed, err = r.Update(ctx, "edgeHub", "")
	require.NoError(t, err)
	require.Equal(t, "other", changed.ManagedBy)
	require.Equal(t, changed, m.all["edgeHub"], "on the disk as well")

	_, err = r.Current("edgeHub", first.GenerationID)
	require.NoError(t, err)
	require.NoError(t, r.Delete(ctx, "edgeHub"))
	_, err = r.Current("edgeHub", first.GenerationID)
	require.True(t, errdefs.IsNotFound(err))
	second, err := r.Create(ctx, "edgeHub", "")
	require.NoError(t, err)
	require.Equal(t, DefaultManager, second.ManagedBy)
	require.NotEqual(t, first.GenerationID, second.GenerationID)
	_, err = r.Current("edgeHub", first.GenerationID)
	require.True(t, errdefs.IsNotFound(err))
	require.NotContains(t, err.Error(), second.GenerationID)
}

// TestWritesGoOnWhenTheirClientLeaves: they were accepted.
func TestWritesGoOnWhenTheirClientLeaves(t *testing.T) {
	r, m := newRegistry(t)
	left, leave := context.WithCancel(t.Context())
	leave()
	_, err := r.Create(left, "temp", "")
	require.NoError(t, err)
	require.Contains(t, m.all, "temp")
	_, err = r.Update(left, "temp", "plant")
	require.NoError(t, err)
	require.Equal(t, "plant", m.all["temp"].ManagedBy)
	require.NoError(t, r.Delete(left, "temp"))
	require.Empty(t, m.all)
}

func TestAModuleWithoutAnIdentityGetsOne(t *testing.T) {
	r, _ := newRegistry(t)
	moduleID, generationID, err := r.EnsureIdentity(t.Context(), "temp")
	require.NoError(t, err)
	require.Equal(t, "temp", moduleID)
	again, same, err := r.EnsureIdentity(t.Context(), "temp")
	require.NoError(t, err)
	require.Equal(t, []string{moduleID, generationID}, []string{again, same})
	agent, _, err := r.EnsureIdentity(t.Context(), "edgeAgent")
	require.NoError(t, err)
	require.Equal(t, "$edgeAgent", agent)
}

func TestIdentitiesAreThereAgainAfterARestart(t *testing.T) {
	r, m := newRegistry(t)
	_, err := r.Create(t.Context(), "b", "")
	require.NoError(t, err)
	_, err = r.Create(t.Context(), "a", "")
	require.NoError(t, err)
	again, err := Open(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, r.List(), again.List())
	require.Equal(t, "a", again.List()[0].Module)
}

func TestWhatCannotBeWrittenDidNotHappen(t *testing.T) {
	r, m := newRegistry(t)
	ctx := t.Context()
	kept, err := r.Create(ctx, "a", "")
	require.NoError(t, err)
	m.fail = errors.New("disk full")
	_, err = r.Create(ctx, "b", "")
	require.Error(t, err)
	_, err = r.Update(ctx, "a", "other")
	require.Error(t, err)
	require.Error(t, r.Delete(ctx, "a"))
	require.Equal(t, []Identity{kept}, r.List())
	_, err = Open(ctx, m)
	require.Error(t, err)
}

func TestBadIdentitiesAreRefused(t *testing.T) {
	r, m := newRegistry(t)
	for _, tc := range [][2]string{{"", ""}, {"$$a", ""}, {"a/b", ""}, {"$", ""}, {"a", "x\n"}, {"a", strings.Repeat("x", 256)}} {
		_, err := r.Create(t.Context(), tc[0], tc[1])
		if tc[0] == "$$a" {
			require.NoError(t, err, "one '$' is the prefix, two are a name")
			continue
		}
		require.True(t, errdefs.IsInvalidArgument(err), tc)
	}
	_, err := r.Update(t.Context(), "nobody", "x")
	require.True(t, errdefs.IsNotFound(err))
	require.True(t, errdefs.IsNotFound(r.Delete(t.Context(), "nobody")))
	require.Len(t, m.all, 1)
}
