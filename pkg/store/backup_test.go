package store

import (
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestACopyIsWholeWhileTheDatabaseIsInUse(t *testing.T) {
	home := t.TempDir()
	to := filepath.Join(t.TempDir(), "edged.db")
	_, err := BackUp(t.Context(), home, to)
	require.True(t, errdefs.IsNotFound(err))
	s, err := Open(t.Context(), home, nil)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.SetNote(t.Context(), "k", "v"))
	schema, err := BackUp(t.Context(), home, to)
	require.NoError(t, err)
	want, err := Schema()
	require.NoError(t, err)
	require.Equal(t, want, schema)
	require.NoError(t, s.SetNote(t.Context(), "k", "later"))
	left, err := filepath.Glob(to + "-*")
	require.NoError(t, err)
	require.Empty(t, left, "all of it is in the one file")
	copied, err := Open(t.Context(), filepath.Dir(to), nil)
	require.NoError(t, err)
	defer copied.Close()
	got, err := copied.Note(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, "v", got)
	for db, marked := range map[*Store]string{s: "", copied: "1"} {
		got, err := db.Note(t.Context(), RestoredNote)
		require.NoError(t, err)
		require.Equal(t, marked, got)
	}
	_, err = BackUp(t.Context(), home, to)
	require.True(t, errdefs.IsAlreadyExists(err))
}
