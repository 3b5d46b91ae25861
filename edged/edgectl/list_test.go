package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

func someOfAll() []wire.Module {
	return []wire.Module{
		module("pump", "failed", func(m *wire.Module) {
			m.Status.StartTime = before(time.Hour)
			m.Status.ExitStatus = &wire.ExitStatus{ExitTime: before(3 * time.Minute), StatusCode: "137"}
		}),
		module("clock", "running", func(m *wire.Module) { m.Status.StartTime = before(5 * time.Minute) }),
	}
}

func TestListIsATableByName(t *testing.T) {
	got := newDevice(t, modules(t, nil, someOfAll()...)).run("ls")
	require.Equal(t, result{0, `NAME    STATUS    DESCRIPTION                  IMAGE
clock   running   Up 5 minutes                 edged.local/demo:1
pump    failed    Failed (137) 3 minutes ago   edged.local/demo:1
`, ""}, got)
}

func TestListOfNothingIsAHeadAnEmptyArrayAndNoNames(t *testing.T) {
	d := newDevice(t, modules(t, nil))
	require.Equal(t, "NAME    STATUS   DESCRIPTION   IMAGE\n", d.run("list").out)
	require.Equal(t, "[]\n", d.run("list", "--format", "json").out)
	require.Equal(t, "", d.run("list", "-q").out)
}

func TestListAsJSONIsTheAPIsModules(t *testing.T) {
	got := newDevice(t, modules(t, nil, someOfAll()...)).run("list", "--format", "json")
	require.Zero(t, got.code, got.err)
	var list []wire.Module
	require.NoError(t, json.Unmarshal([]byte(got.out), &list))
	require.Equal(t, []wire.Module{someOfAll()[1], someOfAll()[0]}, list)
}

func TestListTakesATemplate(t *testing.T) {
	d := newDevice(t, modules(t, nil, someOfAll()...))
	require.Equal(t, "clock running \npump failed 137\n", d.run("list", "--format", "{{.Name}} {{.Status}} {{.ExitCode}}").out)
	require.Equal(t, "\"docker\"\n\"docker\"\n", d.run("list", "--format", "{{json .Module.Type}}").out)
	for _, format := range []string{"yaml", "{{", "{{.Nothing}}", ""} {
		got := d.run("list", "--format", format)
		require.Equal(t, exitUsage, got.code, format)
		require.Empty(t, got.out)
	}
	require.Equal(t, exitUsage, d.run("list", "-q", "--format", "json").code)
}

func TestNothingThatAModuleIsCalledReachesATerminalRaw(t *testing.T) {
	hostile := module("a\u009b2Jb", "stopped", func(m *wire.Module) {
		m.Config.Settings.Image = "i\x1b]0;t\x07"
		m.Status.RuntimeStatus.Description = "line\nline \x1b[1m"
		m.Status.RuntimeStatus.Status = "stopped\x1b"
	})
	d := newDevice(t, modules(t, nil, hostile))
	d.terminal = true
	for _, args := range [][]string{
		{"list"},
		{"list", "-q"},
		{"list", "--format", "json"},
		{"list", "--format", "{{.Name}}{{.Image}}{{.Description}}{{json .Module}}"},
		{"inspect", hostile.Name},
		{"start", hostile.Name + "x"},
		{"logs", hostile.Name},
	} {
		got := d.run(args...)
		for _, text := range []string{got.out, got.err} {
			require.NotContains(t, text, "\x1b", "%q", args)
			require.NotContains(t, text, "\x07", "%q", args)
			require.NotContains(t, text, "\u009b", "%q", args)
		}
	}
	require.Contains(t, d.run("list").out, `a\u009b2Jb`)
}

func TestAScriptGetsANameAsItIs(t *testing.T) {
	const name = "a\u202eb"
	d := newDevice(t, modules(t, nil, module(name, "stopped", nil)))
	require.Equal(t, name+"\n", d.run("list", "-q").out)
	d.terminal = true
	require.Equal(t, `a\u202eb`+"\n", d.run("list", "-q").out)
}

func TestALongDescriptionIsCutInTheTable(t *testing.T) {
	m := module("m", "stopped", func(m *wire.Module) {
		m.Status.RuntimeStatus.Description = "cannot start: " + string(make([]byte, 200))
	})
	require.Less(t, len(newDevice(t, modules(t, nil, m)).run("list").out), 250)
}
