// Package osgi makes bundles for tests: it compiles Java with the machine's JDK, and packs jars with the manifest that a test asks for.
package osgi

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// jdk is the one that contrib/setup/deps.sh installs; another in PATH may be newer than the host's.
const jdk = "/usr/lib/jvm/java-17-openjdk-*/bin/"

// Classes are compiled classes, by their path in a jar.
type Classes map[string][]byte

// Compile compiles sources, by their path (p/Class.java), all at once: a run of the compiler takes longer than anything it compiles here. The class path is of
// jars.
func Compile(tb testing.TB, sources map[string]string, classPath ...string) Classes {
	tb.Helper()
	dir := tb.TempDir()
	out := filepath.Join(dir, "classes")
	args := []string{"--release", "17", "-proc:none", "-Xlint:-options", "-d", out, "-cp", strings.Join(classPath, ":")}
	for name, text := range sources {
		file := filepath.Join(dir, "sources", name)
		require.NoError(tb, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(tb, os.WriteFile(file, []byte(text), 0o644))
		args = append(args, file)
	}
	found, err := filepath.Glob(jdk + "javac")
	require.NoError(tb, err)
	require.NotEmpty(tb, found, "there is no %sjavac: make deps-test installs it", jdk)
	printed, err := exec.Command(found[0], args...).CombinedOutput()
	require.NoError(tb, err, "%s", printed)

	all := Classes{}
	require.NoError(tb, filepath.WalkDir(out, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(out, path)
		if err != nil {
			return err
		}
		all[rel], err = os.ReadFile(path)
		return err
	}))
	return all
}

// Of are the classes of some packages, `a/b`.
func (c Classes) Of(packages ...string) Classes {
	some := Classes{}
	for name, body := range c {
		for _, p := range packages {
			if filepath.Dir(name) == p {
				some[name] = body
			}
		}
	}
	return some
}
