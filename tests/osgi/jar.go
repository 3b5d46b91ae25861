package osgi

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Bundle is a bundle with a symbolic name and a version, and further headers of the form `Name: value`.
func Bundle(tb testing.TB, name, version string, files map[string][]byte, headers ...string) []byte {
	return Jar(tb, files, append([]string{"Bundle-ManifestVersion: 2", "Bundle-SymbolicName: " + name, "Bundle-Version: " + version}, headers...)...)
}

// Jar is a jar whose manifest has these headers besides Manifest-Version, each as it stands.
func Jar(tb testing.TB, files map[string][]byte, headers ...string) []byte {
	tb.Helper()
	var manifest strings.Builder
	for _, header := range append([]string{"Manifest-Version: 1.0"}, headers...) {
		fold(&manifest, header)
	}
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	add := func(name string, body []byte) {
		w, err := zw.Create(name)
		require.NoError(tb, err)
		_, err = w.Write(body)
		require.NoError(tb, err)
	}
	add("META-INF/MANIFEST.MF", []byte(manifest.String()))
	for name, body := range files {
		add(name, body)
	}
	require.NoError(tb, zw.Close())
	return b.Bytes()
}

// fold writes a line as the JAR file specification has it: of at most 72 bytes, and what is left on lines that begin with a space.
func fold(out *strings.Builder, line string) {
	const most = 70
	for len(line) > most {
		out.WriteString(line[:most] + "\r\n")
		line = " " + line[most:]
	}
	out.WriteString(line + "\r\n")
}

// Debian is the path of a real bundle, by the name of its jar without `.jar`. make deps-test gets them.
func Debian(tb testing.TB, name string) string {
	tb.Helper()
	_, file, _, ok := runtime.Caller(0)
	require.True(tb, ok)
	path := filepath.Join(filepath.Dir(file), "../../build/debian/bundles/usr/share/java", name+".jar")
	_, err := os.Stat(path)
	require.NoError(tb, err, "make deps-test gets it")
	return path
}

// Read is the content of a file.
func Read(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	require.NoError(tb, err)
	return b
}
