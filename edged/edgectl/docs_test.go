package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func TestCompletionsAreForThreeShells(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		got := (&device{path: "/nonexistent/s"}).run("completion", shell)
		require.Zero(t, got.code)
		require.Contains(t, got.out, "edgectl")
	}
}

// TestEveryCommandHasAManPage runs what `make docs` runs.
func TestEveryCommandHasAManPage(t *testing.T) {
	dir := t.TempDir()
	out, err := exec.Command("go", "run", "-buildvcs=false", "-tags", "docs", ".", "docs", dir).CombinedOutput()
	require.NoError(t, err, string(out))
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" || cmd.HasParent() && cmd.Parent().Name() == "completion" {
			return
		}
		page := filepath.Join(dir, "man", strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
		b, err := os.ReadFile(page)
		require.NoError(t, err)
		require.Contains(t, string(b), ".TH \"EDGECTL")
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk((&app{}).root())
	for _, f := range []string{"bash/edgectl", "zsh/_edgectl", "fish/edgectl.fish"} {
		require.FileExists(t, filepath.Join(dir, "completions", f))
	}
}
