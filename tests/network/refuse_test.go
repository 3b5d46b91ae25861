package network

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

func bind(host map[string]any, ip, port string) {
	host["PortBindings"] = map[string]any{"80/tcp": []any{map[string]any{"HostIp": ip, "HostPort": port}}}
}

func TestAPortThatIsTakenIsToldBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true})
	start := func(name string) device.Answer {
		return d.Host(http.MethodPost, "/modules/"+name+"/start?"+device.Version, "")
	}
	l, err := d.Listen("tcp", "127.0.0.1:8081")
	require.NoError(t, err)
	defer l.Close()
	d.Create(device.WithOptions(d.CommandSpec("late", "sleep"), func(_, host map[string]any) { bind(host, "", "8081") }))
	a := start("late")
	require.Equal(t, http.StatusConflict, a.Status, a.Body)
	require.Contains(t, a.Message(), "8081/tcp is taken by network.test (process "+fmt.Sprint(os.Getpid())+")")
	require.NotContains(t, d.Ctr("tasks", "ls"), "late-")
	_ = l.Close()
	require.Equal(t, http.StatusNoContent, start("late").Status)

	d.Create(device.WithOptions(d.CommandSpec("later", "sleep"), func(_, host map[string]any) { bind(host, device.HostAddress, "8081") }))
	a = start("later")
	require.Equal(t, http.StatusConflict, a.Status, a.Body)
	require.Contains(t, a.Message(), `host port 8081/tcp is published by module "late"`)
	_, err = d.Listen("tcp", ":8081")
	require.Error(t, err, "no program of the host gets a port that a module has")
	d.Post("late", "stop")
	require.Equal(t, http.StatusNoContent, start("later").Status, "a module that is stopped has no port")

	d.Create(device.WithOptions(d.CommandSpec("astray", "sleep"), func(_, host map[string]any) { bind(host, "198.51.100.9", "8082") }))
	a = start("astray")
	require.Equal(t, http.StatusConflict, a.Status, a.Body)
	require.Contains(t, a.Message(), "198.51.100.9")
}

func TestWhatCannotBeIsRefusedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true})
	d.Create(d.CommandSpec("Taken", "sleep"))
	endpoint := func(settings string) string {
		return `{"NetworkingConfig":{"EndpointsConfig":{"edged":` + settings + `}}}`
	}
	before := tracesOf(t, d)
	for options, want := range map[string]int{
		`{"HostConfig":{"NetworkMode":"plant"}}`:                         http.StatusBadRequest,
		endpoint(`{"Aliases":["taken"]}`):                                http.StatusConflict,
		endpoint(`{"Aliases":["localhost"]}`):                            http.StatusConflict,
		endpoint(`{"Aliases":["a\nb"]}`):                                 http.StatusBadRequest,
		endpoint(`{"IPAMConfig":{"IPv4Address":"172.30.0.2"}}`):          http.StatusConflict, // Taken's
		endpoint(`{"IPAMConfig":{"IPv4Address":"172.30.255.255"}}`):      http.StatusBadRequest,
		`{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"x"}]}}}`:  http.StatusBadRequest,
		`{"HostConfig":{"ExtraHosts":["a:192.0.2.1\n127.0.0.1 Taken"]}}`: http.StatusBadRequest,
	} {
		spec := d.CommandSpec("refused", "sleep")
		spec.Config.Settings.CreateOptions = []byte(options)
		a := d.Agent().Manage(http.MethodPost, "/modules", d.Body(spec))
		require.Equal(t, want, a.Status, "%s: %s", options, a.Body)
	}
	a := d.Agent().Manage(http.MethodPost, "/modules", d.Body(device.WithOptions(d.CommandSpec("refused", "sleep"), func(_, host map[string]any) { host["NetworkMode"] = "plant" })))
	require.Contains(t, a.Message(), "azure-iot-edge")
	require.Equal(t, before.Namespaces, tracesOf(t, d).Namespaces)
}

func TestAPluginThatHangsOrFailsIsToldAndLeavesNothing(t *testing.T) {
	t.Parallel()
	plugins := countingPlugins(t)
	d := device.New(t, device.Options{Network: true, Config: "[network]\ncni_bin_dirs = [\"" + plugins + "\"]\n"})
	d.CreateAndStart(d.CommandSpec("healthy", "sleep"))
	before := tracesOf(t, d)
	empty := func() {
		d.Delete("sick")
		d.Eventually("nothing is left", func() bool {
			now := tracesOf(t, d)
			return len(now.Namespaces) == len(before.Namespaces) && len(now.Veths) == len(before.Veths)
		})
		require.Equal(t, before.States, tracesOf(t, d).States)
	}
	writePlugin(t, plugins, "static", "exit 1")
	d.Create(d.CommandSpec("sick", "sleep"))
	a := d.Host(http.MethodPost, "/modules/sick/start?"+device.Version, "")
	require.GreaterOrEqual(t, a.Status, 500, a.Body)
	require.Contains(t, a.Message(), `cannot attach to network "edged"`)
	empty()
	// It hangs in a child of the plugin, which holds the plugin's output open.
	writePlugin(t, plugins, "static", "sleep 1000")
	d.Create(d.CommandSpec("sick", "sleep"))
	began := time.Now()
	a = d.Host(http.MethodPost, "/modules/sick/start?"+device.Version, "")
	require.Equal(t, http.StatusServiceUnavailable, a.Status, a.Body)
	require.Contains(t, a.Message(), "did not answer in time")
	require.Less(t, time.Since(began), 30*time.Second)
	writePlugin(t, plugins, "static", realPlugin)
	empty()
	d.Create(d.CommandSpec("sick", "sleep"))
	d.Post("sick", "start")
}

// realPlugin is the text of a wrapper that runs the distribution's plugin.
const realPlugin = `exec /usr/lib/cni/$(basename "$0")`

// countingPlugins is a folder of plugins that note their calls and run the real ones.
func countingPlugins(t *testing.T) string {
	dir := t.TempDir()
	for _, name := range []string{"bridge", "static"} {
		writePlugin(t, dir, name, realPlugin)
	}
	return dir
}

func writePlugin(t *testing.T, dir, name, text string) {
	file := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(file+".new", []byte("#!/bin/sh\necho $CNI_COMMAND >>"+dir+"/calls\n"+text+"\n"), 0o755))
	require.NoError(t, os.Rename(file+".new", file))
}

func calls(t *testing.T, dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, "calls"))
	require.NoError(t, err)
	return strings.Count(string(text), "ADD") + strings.Count(string(text), "DEL")
}
