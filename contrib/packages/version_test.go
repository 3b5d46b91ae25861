// Package packages tests what packages are called; what they do is tested in tests/systemd.
package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// repository is an empty one with tools/version.sh, and runs commands in it.
func repository(t *testing.T) (run func(args ...string) string) {
	t.Helper()
	dir := t.TempDir()
	script, err := os.ReadFile("../../tools/version.sh")
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "tools"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tools/version.sh"), script, 0o700))
	run = func(args ...string) string {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a")
		out, err := cmd.CombinedOutput()
		require.NoErrorf(t, err, "%s: %s", args, out)
		return strings.TrimSpace(string(out))
	}
	run("git", "init", "--quiet", ".")
	run("git", "add", "tools")
	return run
}

// TestVersionsSortAsTheyFollow: each version of a history is lower than the next, for dpkg; and what is not committed shows.
func TestVersionsSortAsTheyFollow(t *testing.T) {
	run := repository(t)
	require.Equal(t, "0.1.0-dev", run("tools/version.sh"), "without a commit")
	before := "0"
	for _, step := range []struct{ tag, version string }{
		{"", `0\.1\.0-dev\.1\.g[0-9a-f]{7}`},
		{"", `0\.1\.0-dev\.2\.g[0-9a-f]{7}`},
		{"v0.1.0-rc.1", `0\.1\.0-rc\.1`},
		{"", `0\.1\.0-rc\.1\.dev\.1\.g[0-9a-f]{7}`},
		{"v0.1.0-rc.2", `0\.1\.0-rc\.2`},
		{"v0.1.0", `0\.1\.0`},
		{"nonsense", `0\.1\.1-dev\.1\.g[0-9a-f]{7}`},
		{"", `0\.1\.1-dev\.2\.g[0-9a-f]{7}`},
		{"v0.1.9", `0\.1\.9`},
		{"", `0\.1\.10-dev\.1\.g[0-9a-f]{7}`},
		{"v1.0.0", `1\.0\.0`},
	} {
		run("git", "commit", "--quiet", "--allow-empty", "--message", "step")
		if step.tag != "" {
			run("git", "tag", step.tag)
		}
		version := run("tools/version.sh")
		require.Regexp(t, "^"+step.version+"$", version)
		packaged := run("tools/version.sh", "package", version)
		require.NotContains(t, packaged, "-", "a hyphen begins the number of the package")
		run("dpkg", "--compare-versions", before, "lt", packaged)
		before = packaged
	}
	run("sh", "-c", "echo >>tools/version.sh")
	require.Regexp(t, `^1\.0\.1-dev\.0\.g[0-9a-f]{7}\.dirty$`, run("tools/version.sh"))
}
