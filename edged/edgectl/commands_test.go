package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

func TestActionsNameWhatWorkedAndGoOnAfterAFailure(t *testing.T) {
	for _, action := range []string{"start", "stop", "restart"} {
		var asked []string
		d := newDevice(t, modules(t, &asked, module("a", "stopped", nil), module("b", "stopped", nil)))
		got := d.run(action, "a", "none", "b")
		require.Equal(t, result{exitNotFound, "a\nb\n", "edgectl: none: module \"none\" not found\n"}, got)
		require.Equal(t, []string{action + " a", action + " b"}, asked)
		require.Equal(t, exitUsage, d.run(action).code)
	}
}

func TestInspectIsAnArrayOfThoseThatAreThere(t *testing.T) {
	d := newDevice(t, modules(t, nil, module("a", "stopped", nil), module("b", "stopped", nil)))
	got := d.run("inspect", "b", "none", "a")
	require.Equal(t, exitNotFound, got.code)
	require.Contains(t, got.err, `none: module "none" not found`)
	var list []wire.Module
	require.NoError(t, json.Unmarshal([]byte(got.out), &list))
	require.Len(t, list, 2)
	require.Equal(t, "b", list[0].Name)
	require.Equal(t, result{0, "a stopped\n", ""}, d.run("inspect", "a", "--format", "{{.Name}} {{.Status}}"))
	require.Empty(t, d.run("inspect", "none").out)
}

func TestVersionShowsBoth(t *testing.T) {
	d := newDevice(t, modules(t, nil))
	got := d.run("version")
	require.Zero(t, got.code)
	require.Contains(t, got.out, "edgectl  0.0.0-dev")
	require.Contains(t, got.out, "edged    1.2.3 (Linux 6.1 x86_64, containerd 1.6.20)\n")
	var v versions
	require.NoError(t, json.Unmarshal([]byte(d.run("version", "--format", "json").out), &v))
	require.Equal(t, "1.2.3", v.Server.Version)
	require.Equal(t, "1.2.3\n", d.run("version", "--format", "{{.Server.Version}}").out)
}

func TestVersionOfTheClientNeedsNoEdged(t *testing.T) {
	got := (&device{path: "/nonexistent/s"}).run("version", "--format", "json")
	require.Equal(t, exitUnreachable, got.code)
	require.Contains(t, got.out, `"server": null`)
	require.Contains(t, got.err, "is edged installed")
}

func TestLogsArePassedOnByteForByte(t *testing.T) {
	const log = "a\n\x1b[31mred\x00\xff"
	var query string
	d := newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.RawQuery
		_, _ = io.WriteString(w, log)
	}))
	d.terminal = true
	require.Equal(t, result{0, log, ""}, d.run("logs", "-f", "-t", "--tail", "3", "--since", "1h 20m", "--until", "0", "m"))
	require.Equal(t, "api-version=2022-08-03&follow=true&since=1h+20m&tail=3&timestamps=true&until=0", query)
}

func TestLogOptionsAreCheckedBeforeEdgedIsAsked(t *testing.T) {
	d := newDevice(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("edged was asked") }))
	for _, args := range [][]string{{"--tail", "-1", "m"}, {"--tail", "x", "m"}, {"--since", "5x", "m"}, {"--until", "tomorrow", "m"}, {}, {"a", "b"}} {
		got := d.run(append([]string{"logs"}, args...)...)
		require.Equal(t, exitUsage, got.code, "%q", args)
		require.NotContains(t, got.err, "invalid argument\n")
	}
}

func TestExitCodesSayWhatHappened(t *testing.T) {
	for status, want := range map[int]int{400: exitFailed, 403: exitForbidden, 404: exitNotFound, 409: exitFailed, 500: exitFailed, 503: exitFailed} {
		d := newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"message":"the reason"}`)
		}))
		for _, args := range [][]string{{"list"}, {"start", "m"}, {"logs", "m"}, {"inspect", "m"}} {
			got := d.run(args...)
			require.Equal(t, want, got.code, "%d %q", status, args)
			require.Contains(t, got.err, "the reason")
			require.Empty(t, got.out)
		}
	}
	require.Equal(t, exitUnreachable, (&device{path: "/nonexistent/s"}).run("stop", "m").code)
}

func TestARefusalSaysWhoMayDoWhat(t *testing.T) {
	d := newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"message":"forbidden"}`)
	}))
	got := d.run("start", "m")
	require.Contains(t, got.err, "by the module edgeAgent alone")
	require.Contains(t, got.err, "members of the group edged")
}

func TestAWrongCommandLineIsAUsageError(t *testing.T) {
	d := &device{path: "/nonexistent/s"}
	for _, args := range [][]string{{"lst"}, {"list", "x"}, {"list", "--nothing"}, {"--nothing"}, {"version", "x"}, {"inspect"}, {"stop", "a", ""}, {"logs", ""}, {"-H", "tcp://x", "list"}} {
		got := d.run(args...)
		require.Equal(t, exitUsage, got.code, "%q", args)
		require.Contains(t, got.err, "--help'", "%q", args)
		require.Empty(t, got.out)
	}
	require.Contains(t, d.run("lst").err, `did you mean "list"?`)
}

func TestHelpGoesToStdoutAndNamesTheExitCodes(t *testing.T) {
	d := &device{path: "/nonexistent/s"}
	for _, args := range [][]string{{}, {"--help"}, {"help"}} {
		got := d.run(args...)
		require.Zero(t, got.code)
		require.Empty(t, got.err)
		require.Contains(t, got.out, "Exit codes:")
		require.Contains(t, got.out, "EDGED_HOST")
	}
}

func TestNamesOfModulesComplete(t *testing.T) {
	d := newDevice(t, modules(t, nil, module("pump", "stopped", nil), module("clock", "running", nil), module("x\u202e", "stopped", nil)))
	complete := func(args ...string) []string {
		got := d.run(append([]string{"__complete"}, args...)...)
		require.Zero(t, got.code)
		return strings.Split(strings.TrimSpace(got.out), "\n")
	}
	require.Equal(t, []string{"clock\tUp", "pump\tCreated", ":4"}, complete("stop", ""))
	require.Equal(t, []string{"pump\tCreated", ":4"}, complete("stop", "clock", ""))
	require.Equal(t, []string{":4"}, complete("logs", "clock", ""))
	require.Equal(t, []string{"table", "json", ":4"}, complete("list", "--format", ""))
	d.path = "/nonexistent/s"
	require.Equal(t, []string{":1"}, complete("stop", ""))
}
