package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

const bundlesRoot = "/modules/api/bundles"

// bundleServer answers for edged, and remembers what was asked.
type bundleServer struct {
	list  wire.BundleList
	asked []string
	body  string
}

func (s *bundleServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), bundlesRoot)
	answer := func(status int, v any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	done := func(keys ...string) {
		op := wire.BundleOperation{Message: "Operation successful"}
		for _, k := range keys {
			op.BundleInfos = append(op.BundleInfos, wire.BundleInfo{Key: k})
		}
		answer(200, op)
	}
	if path == "/_list" {
		answer(200, s.list)
		return
	}
	s.asked = append(s.asked, r.Method+" "+path)
	switch {
	case path == "" && r.Method == "POST":
		s.install(r, answer, done)
	case strings.Contains(path, "none"):
		answer(404, wire.BundleError{Status: 404, Message: "Unable to find a module bundle corresponding to the key: none"})
	case strings.Contains(path, "bad"):
		answer(500, wire.BundleError{Status: 500, Message: "Error while starting bundle bad/1.0.0", Cause: "org.osgi.framework.BundleException: Unable to resolve\x1b[2J"})
	case strings.HasSuffix(path, "/_localInfo"):
		_, _ = io.WriteString(w, `{"z/1.0.0":{"type":"BUNDLE"},"a/1.0.0":{"type":"MODULE"}}`)
	case strings.HasPrefix(path, "/_"):
		b, _ := io.ReadAll(r.Body)
		s.body = string(b)
		if path == "/_storeAllLocalPersistentStates" {
			answer(200, []wire.BundlePersistentState{{SymbolicName: "a", Location: "dx:a/1.0.0", State: 32, Version: "1.0.0", StartLevel: 80}})
			return
		}
		done("a/1.0.0")
	default:
		done(strings.TrimSuffix(strings.TrimPrefix(path, "/"), path[strings.LastIndex(path, "/"):]))
	}
}

func (s *bundleServer) install(r *http.Request, answer func(int, any), done func(...string)) {
	if r.Header.Get("Expect") != "100-continue" {
		answer(400, wire.BundleError{Message: "nobody asked whether it is wanted"})
		return
	}
	if err := r.ParseMultipartForm(1 << 20); err != nil {
		answer(400, wire.BundleError{Message: err.Error()})
		return
	}
	var names []string
	for _, f := range r.MultipartForm.File["bundle"] {
		names = append(names, f.Filename)
	}
	s.body = fmt.Sprint(names, r.MultipartForm.Value)
	done(names...)
}

func TestBundlesAreListed(t *testing.T) {
	s := &bundleServer{list: wire.BundleList{Trouble: "it fell\x1b over", Bundles: []wire.Bundle{
		{Key: "g/a/1.0.0", Type: "MODULE", State: "ACTIVE", Wanted: true, Size: 3 << 20, Updated: before(time.Hour)}, {Key: "b/1.0.0", Type: "BUNDLE", Size: 1 << 10},
	}}}
	d := newDevice(t, s)
	got := d.run("bundle", "ls")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.err, `no state is known: it fell\x1b over`)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Len(t, lines, 3)
	require.Equal(t, []string{"g/a/1.0.0", "MODULE", "ACTIVE", "started", "3MiB", "about", "an", "hour", "ago"}, strings.Fields(lines[1]))
	require.Equal(t, []string{"b/1.0.0", "BUNDLE", "?", "stopped", "1KiB", "-"}, strings.Fields(lines[2]))
	require.Equal(t, result{0, "g/a/1.0.0\nb/1.0.0\n", ""}, d.run("bundle", "list", "-q"))
	require.Equal(t, "g/a/1.0.0 ACTIVE\nb/1.0.0 \n", d.run("bundle", "list", "--format", "{{.Key}} {{.State}}").out)
	require.Equal(t, "[]\n", newDevice(t, &bundleServer{}).run("bundle", "list", "--format", "json").out)
	require.Equal(t, exitUsage, d.run("bundle", "list", "-q", "--format", "json").code)
	require.Equal(t, exitUsage, d.run("bundle", "list", "--format", "xml").code)
}

func TestBundlesAreOperatedOneAfterTheOther(t *testing.T) {
	s := &bundleServer{}
	d := newDevice(t, s)
	for command, op := range map[string]string{"start": "start", "stop": "stop", "uninstall": "uninstall", "rm": "uninstall", "refresh": "refresh", "update": "update"} {
		s.asked = nil
		require.Equal(t, result{0, "g/a/1.0.0\nb\n", ""}, d.run("bundle", command, "g/a/1.0.0", "b"))
		require.Equal(t, []string{"POST /g/a/1.0.0/_" + op, "POST /b/_" + op}, s.asked)
		require.Equal(t, exitUsage, d.run("bundle", command).code)
		require.Equal(t, exitUsage, d.run("bundle", command, "").code)
	}
	got := d.run("bundle", "start", "none", "bad", "c")
	require.Equal(t, exitNotFound, got.code, "the first failure's")
	require.Equal(t, "c\n", got.out)
	require.Contains(t, got.err, "none: Unable to find a module bundle")
	require.Contains(t, got.err, `bad: Error while starting bundle bad/1.0.0: org.osgi.framework.BundleException: Unable to resolve\x1b[2J`)
	require.Equal(t, exitFailed, d.run("bundle", "start", "bad").code)
	s.asked = nil
	d.run("bundle", "start", "a b?#%")
	require.Equal(t, []string{"POST /a%20b%3F%23%25/_start"}, s.asked)
}

func TestBundlesAreInstalledFromFiles(t *testing.T) {
	folder := t.TempDir()
	var names []string
	for _, name := range []string{"a.jar", "b.dp"} {
		names = append(names, filepath.Join(folder, name))
		require.NoError(t, os.WriteFile(names[len(names)-1], []byte(name), 0o600))
	}
	s := &bundleServer{}
	d := newDevice(t, s)
	require.Equal(t, result{0, "a.jar\nb.dp\n", ""}, d.run("bundle", "install", names[0], names[1]))
	require.Equal(t, "[a.jar b.dp] map[]", s.body)
	require.Zero(t, d.run("bundle", "install", "--start", "--ignore-checks", "-q", names[0]).code)
	require.Equal(t, "[a.jar] map[ignoreChecks:[true] start:[true]]", s.body)
	s.asked = nil
	require.Equal(t, exitFailed, d.run("bundle", "install", names[0], filepath.Join(folder, "none.jar")).code)
	require.Equal(t, exitFailed, d.run("bundle", "install", folder).code)
	require.Empty(t, s.asked, "nothing is sent before all files are there")
	require.Equal(t, exitUsage, d.run("bundle", "install").code)
	require.Equal(t, exitUsage, d.run("bundle", "install", "").code)
	require.Equal(t, exitUnreachable, (&device{path: "/nonexistent/s"}).run("bundle", "install", names[0]).code)
}

func TestBundleInfoIsTheAPIs(t *testing.T) {
	s := &bundleServer{}
	got := newDevice(t, s).run("bundle", "info", "[z/1,a/1]")
	require.Zero(t, got.code, got.err)
	require.Less(t, strings.Index(got.out, "z/1.0.0"), strings.Index(got.out, "a/1.0.0"), "in the order that it has")
	require.Equal(t, []string{"GET /%5Bz/1%2Ca/1%5D/_localInfo"}, s.asked)
	require.Equal(t, exitUsage, newDevice(t, s).run("bundle", "info").code)
	require.Equal(t, exitNotFound, newDevice(t, s).run("bundle", "info", "none/1").code)
}

func TestBundleStatesAreKeptAndRestored(t *testing.T) {
	s := &bundleServer{}
	d := newDevice(t, s)
	got := d.run("bundle", "states")
	require.Zero(t, got.code, got.err)
	file := filepath.Join(t.TempDir(), "states.json")
	require.NoError(t, os.WriteFile(file, []byte(got.out), 0o600))
	require.Equal(t, result{0, "a/1.0.0\n", ""}, d.run("bundle", "restore", file))
	require.JSONEq(t, got.out, s.body)
	d.in = got.out
	require.Zero(t, d.run("bundle", "restore", "-").code)
	require.JSONEq(t, got.out, s.body)
	require.Zero(t, d.run("bundle", "restore").code)
	require.Empty(t, s.body, "as edged stored it")
	for text, want := range map[string]int{"null": exitOK, "{": exitFailed, `{"x":1}`: exitFailed} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		require.Equal(t, want, d.run("bundle", "restore", file).code, text)
	}
	require.Equal(t, "[]", s.body, "nothing is not what was stored")
}

func TestRefusalsOfBundlesHaveExitCodes(t *testing.T) {
	d := newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, "user host uid 1 is not allowed to access Module Manager HTTP API")
	}))
	file := filepath.Join(t.TempDir(), "a.jar")
	require.NoError(t, os.WriteFile(file, make([]byte, 10<<20), 0o600))
	for _, args := range [][]string{{"list"}, {"install", file}, {"rm", "x"}, {"info", "x/1"}, {"states"}, {"restore"}} {
		got := d.run(append([]string{"bundle"}, args...)...)
		require.Equal(t, exitForbidden, got.code, "%v: %s", args, got.err)
		require.Contains(t, got.err, "user host uid 1 is not allowed to access Module Manager HTTP API")
		require.Contains(t, got.err, "adminTemplates")
	}
}
