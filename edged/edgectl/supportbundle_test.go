package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASupportBundleIsThereWholeOrNotAtAll(t *testing.T) {
	var query string
	whole := newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.RawQuery
		_, _ = io.WriteString(w, "PKzip")
	}))
	dir := t.TempDir()
	file := filepath.Join(dir, "fault.zip")
	require.Equal(t, result{0, file + " (5B)\n", ""}, whole.run("support-bundle", "-o", file, "--since", "1h", "--runtime-only"))
	require.Equal(t, "api-version=2022-08-03&edge_runtime_only=true&since=1h", query)
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "PKzip", string(got))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.Equal(t, result{0, "PKzip", ""}, whole.run("support-bundle", "-o", "-"))

	broken := newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "PK")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	require.Equal(t, exitFailed, broken.run("support-bundle", "-o", filepath.Join(dir, "half.zip")).code)
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 1)
	require.Equal(t, exitUsage, whole.run("support-bundle", "--since", "never").code)
	require.Equal(t, exitFailed, whole.run("support-bundle", "-o", "/no/such/folder/x").code)
}
