package network

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestTheBridgeIsTrustedWhereFirewalldRuns(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "firewall-cmd")
	write := func(text string) {
		require.NoError(t, os.WriteFile(program+".new", []byte("#!/bin/sh\necho \"$@\" >>"+dir+"/calls\n"+text+"\n"), 0o755))
		require.NoError(t, os.Rename(program+".new", program))
	}
	calls := func() string {
		text, err := os.ReadFile(filepath.Join(dir, "calls"))
		require.NoError(t, err)
		return string(text)
	}
	require.NoError(t, trust(t.Context(), program, "edged0"), "none is installed")
	write("exit 252") // not running
	require.NoError(t, trust(t.Context(), program, "edged0"))
	require.Equal(t, "--state\n", calls())
	write("exit 0")
	require.NoError(t, trust(t.Context(), program, "edged0"))
	require.Contains(t, calls(), "--zone=trusted --change-interface=edged0\n")
	write(`[ "$1" = --state ] || { echo no such zone >&2; exit 1; }`)
	err := trust(t.Context(), program, "edged0")
	require.True(t, errdefs.IsUnavailable(err), "%v", err)
	require.ErrorContains(t, err, "no such zone")
}
