package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

// streams answers GET /events with one list of events a request, and then with silence
// or, where broken says so, the end.
func streams(t *testing.T, broken bool, lists ...[]wire.Event) *device {
	requests := 0
	return newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := lists[min(requests, len(lists)-1)]
		requests++
		if n := slices.IndexFunc(list, func(e wire.Event) bool { return e.Kind != wire.EventPresent }); r.URL.Query().Get("initial") == "true" {
			if n < 0 {
				n = len(list)
			}
			list = slices.Insert(slices.Clone(list), n, wire.Event{Kind: wire.EventReady})
		}
		for _, e := range list {
			if err := json.NewEncoder(w).Encode(e); err != nil {
				t.Error(err)
			}
		}
		w.(http.Flusher).Flush()
		if !broken || requests == len(lists) {
			<-r.Context().Done()
		}
	}))
}

func event(module, kind, status string, edit func(*wire.Event)) wire.Event {
	e := wire.Event{Time: before(0), Module: module, Kind: kind, Status: status, Description: status}
	if edit != nil {
		edit(&e)
	}
	return e
}

func TestWaitUntilModulesAreSo(t *testing.T) {
	unhealthy := func(e *wire.Event) { e.Health = "unhealthy" }
	for name, c := range map[string]struct {
		condition string
		events    []wire.Event
		want      int
	}{
		"runs":                    {"running", []wire.Event{event("m", "present", "stopped", nil), event("x", "present", "running", nil), event("m", "changed", "running", nil)}, 0},
		"comes and runs":          {"running", []wire.Event{event("m", "created", "stopped", nil), event("m", "changed", "running", nil)}, 0},
		"does not run":            {"running", []wire.Event{event("m", "present", "failed", nil), event("x", "present", "running", nil)}, 1},
		"is healthy":              {"healthy", []wire.Event{event("m", "present", "running", unhealthy), event("m", "changed", "running", func(e *wire.Event) { e.Health = "healthy" })}, 0},
		"is not healthy":          {"healthy", []wire.Event{event("m", "present", "running", unhealthy)}, 1},
		"has run for long enough": {"healthy", []wire.Event{event("m", "present", "running", func(e *wire.Event) { e.StartTime = before(11 * time.Second) })}, 0},
		"has just begun":          {"healthy", []wire.Event{event("m", "present", "running", func(e *wire.Event) { e.StartTime = before(9 * time.Second) })}, 1},
		"has failed":              {"stopped", []wire.Event{event("m", "present", "running", nil), event("m", "changed", "failed", nil)}, 0},
		"is removed":              {"removed", []wire.Event{event("m", "present", "stopped", nil), event("m", "deleted", "", nil)}, 0},
		"is there":                {"removed", []wire.Event{event("m", "present", "stopped", nil)}, 1},
	} {
		got := streams(t, false, c.events).run("wait", "m", "--for", c.condition, "--timeout", "600ms")
		require.Equal(t, c.want, got.code, "%s: %s", name, got.err)
		if c.want == 1 {
			require.Contains(t, got.err, "edgectl: m: ")
			require.Contains(t, got.err, "not "+c.condition+" within 600ms")
		}
	}
	require.Equal(t, exitUsage, streams(t, false, nil).run("wait", "m", "--for", "ever").code)
	require.Equal(t, exitUnreachable, (&device{path: "/nonexistent/s"}).run("wait", "m").code)
}

func TestWaitGoesOnOverARestartOfEdged(t *testing.T) {
	d := streams(t, true, []wire.Event{event("m", "present", "stopped", nil)}, []wire.Event{event("m", "present", "running", nil)})
	require.Zero(t, d.run("wait", "m", "--timeout", "20s").code)
}

func TestEventsAreLines(t *testing.T) {
	code := 137
	list := []wire.Event{
		event("pump", "changed", "failed", func(e *wire.Event) { e.ExitCode, e.Description = &code, "exited\x1b[1m" }),
		event("valve", "deleted", "", nil),
	}
	got := streams(t, true, list, nil).run("events")
	require.Equal(t, exitUnreachable, got.code, "the stream broke")
	require.Contains(t, got.out, "changed  failed   pump  exited\\x1b[1m (137)\n")
	require.Contains(t, got.out, "deleted           valve  \n")
	require.Equal(t, "pump 137\n", streams(t, true, list, nil).run("events", "pump", "--format", "{{.Module}} {{.ExitCode}}").out)
	var e wire.Event
	require.NoError(t, json.Unmarshal([]byte(streams(t, true, list, nil).run("events", "pump", "--format", "json").out), &e))
	require.Equal(t, "failed", e.Status)
}

// programs puts scripts into PATH, alone.
func programs(t *testing.T, scripts map[string]string) {
	dir := t.TempDir()
	for name, text := range scripts {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	t.Setenv("PATH", dir)
}

func TestSystemAsksSystemd(t *testing.T) {
	d := newDevice(t, modules(t, nil, module("a", "running", nil), module("b", "stopped", nil)))
	programs(t, map[string]string{
		"systemctl":  `if [ $1 = is-active ]; then echo active; elif [ $1 = is-enabled ]; then echo disabled; exit 1; else echo "$@"; fi`,
		"journalctl": `echo "$@"`,
	})
	got := d.run("system", "status")
	require.Zero(t, got.code)
	require.Contains(t, got.out, "edged.mgmt.socket      active, disabled\n")
	require.Contains(t, got.out, "edged 1.2.3 answers; containerd 1.6.20; 1 of 2 modules run\n")
	require.Equal(t, "restart edged.service\nedged 1.2.3 answers\n", d.run("system", "restart").out)
	require.Equal(t, "--unit=edged.service --no-pager --lines=5 --follow --since=-1h\n", d.run("system", "logs", "-f", "-n", "5", "--since", "-1h").out)
	programs(t, nil)
	require.Contains(t, d.run("system", "logs").err, "for systems with systemd")
	require.Contains(t, d.run("system", "status").out, "edged 1.2.3 answers")
}

func TestSetLogLevelSaysWhatItWas(t *testing.T) {
	d := newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var l wire.LogLevel
		_ = json.NewDecoder(r.Body).Decode(&l)
		fmt.Fprintf(w, `{"level":%q,"before":"info"}`, l.Level)
	}))
	require.Equal(t, result{0, "info -> debug\n", ""}, d.run("system", "set-log-level", "debug"))
	require.Equal(t, exitUsage, d.run("system", "set-log-level").code)
}
