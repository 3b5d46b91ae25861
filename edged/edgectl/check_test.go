package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/edged/edgectl/check"
)

// emptyConfig is a configuration with nothing in it, as root's own.
func emptyConfig(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "config.toml")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	return file
}

func TestCheckShowsFindingsWithTheirCures(t *testing.T) {
	d := newDevice(t, modules(t, nil))
	got := d.run("check", "-c", emptyConfig(t), "version", "agent", "config")
	require.Equal(t, exitFailed, got.code, "there is no agent")
	require.Empty(t, got.err)
	require.Contains(t, got.out, "ok       config ")
	require.Contains(t, got.out, "warning  version            edged is 1.2.3, edgectl is 0.0.0-dev\n")
	require.Contains(t, got.out, "error    agent ")
	require.Contains(t, got.out, "-> restart edged after an upgrade")
	require.Contains(t, got.out, "\n3 checks: 1 ok, 1 warning, 1 error\n")
	require.NotContains(t, got.out, "\x1b")

	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "vt220")
	d.terminal = true
	require.Contains(t, d.run("check", "-c", emptyConfig(t), "agent").out, "\x1b[31merror  \x1b[0m  agent")
	t.Setenv("NO_COLOR", "1")
	require.NotContains(t, d.run("check", "-c", emptyConfig(t), "agent").out, "\x1b")
}

func TestCheckForScripts(t *testing.T) {
	d := newDevice(t, modules(t, nil))
	got := d.run("check", "-c", emptyConfig(t), "version", "--format", "json")
	require.Zero(t, got.code, "a warning is no failure")
	var results []check.Result
	require.NoError(t, json.Unmarshal([]byte(got.out), &results))
	require.Equal(t, "version", results[0].ID)
	require.Equal(t, check.Warning, results[0].Status)
	require.Equal(t, result{exitFailed, "version warning\n", ""}, d.run("check", "-c", emptyConfig(t), "version", "--strict", "--format", "{{.ID}} {{.Status}}"))
	require.Equal(t, exitUsage, d.run("check", "nothing").code)
	require.Len(t, strings.Split(strings.TrimSpace(d.run("check", "--list").out), "\n"), len(check.IDs()))
	require.Equal(t, strings.Join(check.IDs(), "\n")+"\n", d.run("check", "--list", "--format", "{{.ID}}").out)
	require.True(t, strings.HasPrefix(d.run("check", "--list", "--format", "json").out, "[\n  {\n    \"id\": \"config\",\n    \"about\": \"the configuration is valid\"\n  },\n"))
	require.Contains(t, d.run("__complete", "check", "").out, "peer-proof\tthe kernel proves who calls\n")
}

func TestCheckWithoutEdgedSaysSo(t *testing.T) {
	got := (&device{path: "/nonexistent/s"}).run("check", "-c", emptyConfig(t), "edged", "agent")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.out, "error    edged ")
	require.Contains(t, got.out, "skipped  agent ")
}
