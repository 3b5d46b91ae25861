package engine

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// remembered is what a database says of every key.
type remembered string

func (r remembered) Note(context.Context, string) (string, error) { return string(r), nil }
func (remembered) SetNote(context.Context, string, string) error  { return nil }

func TestImagesOfAnArchiveAreProtectedWhileContainerdIsAway(t *testing.T) {
	e, dir := engineIn(t)
	conn, err := grpc.NewClient("unix://"+dir+"/no.sock", grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	e.client, err = client.NewWithConn(conn)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "agent.tar")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	info, err := os.Stat(file)
	require.NoError(t, err)
	known := newImported(info)
	known.Images = []string{"edged.local/agent:1"}
	note, err := json.Marshal(known)
	require.NoError(t, err)
	_, err = e.Preload(t.Context(), []string{filepath.Dir(file)}, remembered(note))
	require.True(t, errdefs.IsUnavailable(err), "%v", err)
	require.True(t, e.preloaded.has("edged.local/agent:1"))
}

// A package puts another archive of the same size and time in the place of the old one.
func TestAnArchiveThatTookAnothersPlaceIsAnother(t *testing.T) {
	dir := t.TempDir()
	stat := func(content string) imported {
		fresh, file := filepath.Join(dir, "fresh"), filepath.Join(dir, "agent.tar")
		require.NoError(t, os.WriteFile(fresh, []byte(content), 0o600))
		require.NoError(t, os.Chtimes(fresh, time.Unix(1, 0), time.Unix(1, 0)))
		require.NoError(t, os.Rename(fresh, file))
		info, err := os.Stat(file)
		require.NoError(t, err)
		return newImported(info)
	}
	old := stat("a")
	require.Eventually(t, func() bool { return stat("b").Changed != old.Changed }, 10*time.Second, time.Millisecond)
}
