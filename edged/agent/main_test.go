package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheCommandLineIsChecked(t *testing.T) {
	none := func(string) string { return "" }
	for _, args := range [][]string{{"x"}, {"--nothing"}, {"--host", "tcp://x"}} {
		require.Error(t, run(t.Context(), args, none), "%q", args)
	}
}

func TestTheSocketComesFromEdgedsEnvironment(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, env := range []map[string]string{
		{"EDGED_MANAGEMENTURI": "unix:///a", "IOTEDGE_MANAGEMENTURI": "http://wrong"},
		{"IOTEDGE_MANAGEMENTURI": "unix:///a"},
	} {
		getenv := func(name string) string { return env[name] }
		require.NoError(t, run(ctx, []string{"--desired", t.TempDir(), "--status", t.TempDir()}, getenv))
	}
	getenv := func(string) string { return "http://wrong" }
	require.ErrorContains(t, run(ctx, nil, getenv), "http://wrong")
}
