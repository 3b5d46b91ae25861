package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/client/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) string { return now.Add(-d).Format(time.RFC3339Nano) }

// result is what a run of edgectl leaves behind.
type result struct {
	code     int
	out, err string
}

// device answers for edged on a socket of the test.
type device struct {
	http.Handler
	path     string
	terminal bool
	// in is what is typed, on a terminal where typed says so.
	in    string
	typed bool
}

func newDevice(t *testing.T, h http.Handler) *device {
	t.Helper()
	d := &device{Handler: h, path: filepath.Join(t.TempDir(), "s")}
	l, err := net.Listen("unix", d.path)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(h)
	require.NoError(t, server.Listener.Close())
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	return d
}

func (d *device) run(args ...string) result {
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(d.in), inTerminal: d.typed, out: &out, err: &errs, terminal: d.terminal, now: func() time.Time { return now }}
	code := a.run(append([]string{"--host", d.path}, args...))
	return result{code, out.String(), errs.String()}
}

func module(name, status string, more func(*wire.Module)) wire.Module {
	m := wire.Module{ID: name, Name: name, Type: "docker"}
	m.Config.Settings.Image = "edged.local/" + "demo:1"
	m.Config.Env = []wire.EnvVar{}
	m.Status.RuntimeStatus.Status = status
	if more != nil {
		more(&m)
	}
	return m
}

// modules serves a list and each of them, and remembers what was asked.
func modules(t *testing.T, asked *[]string, list ...wire.Module) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	find := func(w http.ResponseWriter, r *http.Request) *wire.Module {
		for i := range list {
			if list[i].Name == r.PathValue("name") {
				return &list[i]
			}
		}
		w.WriteHeader(http.StatusNotFound)
		answer(w, wire.Error{Message: "module \"" + r.PathValue("name") + "\" not found"})
		return nil
	}
	mux.HandleFunc("GET /modules", func(w http.ResponseWriter, _ *http.Request) { answer(w, wire.ModuleList{Modules: list}) })
	mux.HandleFunc("GET /modules/{name}", func(w http.ResponseWriter, r *http.Request) {
		if m := find(w, r); m != nil {
			answer(w, m)
		}
	})
	mux.HandleFunc("POST /modules/{name}/{action}", func(w http.ResponseWriter, r *http.Request) {
		if find(w, r) != nil {
			*asked = append(*asked, r.PathValue("action")+" "+r.PathValue("name"))
			w.WriteHeader(http.StatusNoContent)
		}
	})
	mux.HandleFunc("GET /systeminfo", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, wire.SystemInfo{OSType: "Linux", KernelRelease: "6.1", Architecture: "x86_64", Version: "1.2.3", ServerVersion: "containerd 1.6.20"})
	})
	return mux
}
