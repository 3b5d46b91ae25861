package store

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/identity"
	"github.com/edged/edged/pkg/store/sqlite"
)

func TestIdentitiesAreKeptChangedAndDeleted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	ctx := t.Context()
	all := func() []identity.Identity {
		list, err := s.Identities(ctx)
		require.NoError(t, err)
		return list
	}
	require.Empty(t, all())
	hub := identity.Identity{Module: "edgeHub", ModuleID: "$edgeHub", ManagedBy: "iotedge", GenerationID: "g1"}
	require.NoError(t, s.SaveIdentity(ctx, hub))
	hub.ManagedBy = "plant"
	require.NoError(t, s.SaveIdentity(ctx, hub))
	require.Equal(t, []identity.Identity{hub}, all())
	require.NoError(t, s.Close())
	s = open(t, dir)
	require.Equal(t, []identity.Identity{hub}, all())
	require.NoError(t, s.DeleteIdentity(ctx, "edgeHub"))
	require.NoError(t, s.DeleteIdentity(ctx, "edgeHub"))
	require.Empty(t, all())
}

// What the first schema kept was the module's name.
func TestIdentitiesOfTheFirstSchemaStay(t *testing.T) {
	dir := t.TempDir()
	db, err := sqlite.Connect(filepath.Join(dir, "edged.db"), sqlite.Pool{Conns: 1, CacheKiB: cacheKiB})
	require.NoError(t, err)
	provider, err := schema().Provider(db)
	require.NoError(t, err)
	_, err = provider.UpTo(t.Context(), 1)
	require.NoError(t, err)
	_, err = db.Exec(`INSERT INTO identities (module_id, managed_by, generation_id) VALUES ('edgeAgent', 'iotedge', 'a'), ('temp', 'iotedge', 'b')`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	list, err := open(t, dir).Identities(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []identity.Identity{
		{Module: "edgeAgent", ModuleID: "$edgeAgent", ManagedBy: "iotedge", GenerationID: "a"},
		{Module: "temp", ModuleID: "temp", ManagedBy: "iotedge", GenerationID: "b"},
	}, list)
}
