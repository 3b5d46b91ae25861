package store

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheBallastComesBackWhenThereIsRoom(t *testing.T) {
	b := newBallast(filepath.Join(t.TempDir(), "ballast"))
	b.restore()
	require.FileExists(t, b.path)
	require.True(t, b.drop())
	fine := func() error { return nil }
	b.dropped.Store(time.Now().UnixNano())
	require.NoError(t, b.retry(fine))
	require.NoFileExists(t, b.path, "not at once: the room was just needed")
	b.dropped.Store(time.Now().Add(-2 * time.Minute).UnixNano())
	require.NoError(t, b.retry(fine))
	require.FileExists(t, b.path)
}
