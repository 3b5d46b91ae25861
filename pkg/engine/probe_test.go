package engine

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestAStartRemovesWhatProbesLeft(t *testing.T) {
	old, dir := engineIn(t)
	require.NoError(t, os.MkdirAll(dir+"/run/probes", 0o700))
	require.NoError(t, unix.Mkfifo(dir+"/run/probes/temp-1-g1", 0o600))
	e, err := New(Config{Address: dir + "/no.sock", Namespace: "edged", Run: old.Run, Log: old.Log})
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.Close() })
	require.NoDirExists(t, dir+"/run/probes")
}
