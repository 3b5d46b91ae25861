// Package system has whole-system tests of what edged says of the device: its resources, its support bundle.
package system

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

func TestWhatTheDeviceSaysOfItself(t *testing.T) {
	d := device.New(t, device.Options{})
	spec := device.WithOptions(d.Spec("eater"), func(top, host map[string]any) {
		top["Env"] = []string{"OPTION=hush-option"}
		top["Labels"] = map[string]string{"owner": "hush-label"}
		host["Memory"], host["PidsLimit"] = 64<<20, 50
	})
	spec.Config.Env = []wire.EnvVar{{Key: "TOKEN", Value: "hush-token"}, {Key: "TZ", Value: "Europe/Berlin"}}
	spec.Config.Settings.Management = true
	d.CreateAndStart(spec)
	talker := device.WithOptions(d.CommandSpec("talker"), func(top, _ map[string]any) {
		top["Entrypoint"] = []string{"/bin/sh", "-c", "echo my token is $TOKEN; exec /bin/probe sleep"}
	})
	talker.Config.Env = spec.Config.Env
	d.CreateAndStart(talker)
	d.Eventually("it has spoken", func() bool { return strings.Contains(d.Logs("talker", ""), "hush-token") })

	t.Run("resources", func(t *testing.T) { resources(t, d.For(t)) })
	t.Run("documents", func(t *testing.T) { documents(t, d.For(t)) })
	t.Run("support bundle", func(t *testing.T) { supportBundle(t, d.For(t)) })
	t.Run("reprovision", func(t *testing.T) {
		d := d.For(t)
		require.Equal(t, http.StatusForbidden, d.Host("POST", "/device/reprovision?"+device.Version, "").Status)
		a := d.Agent().Manage("POST", "/device/reprovision", "")
		require.Equal(t, http.StatusNoContent, a.Status, a.Body)
		d.Eventually("the configuration was read anew", func() bool { return strings.Contains(d.EdgedLog(), "reloaded") })
		require.NoError(t, os.WriteFile(filepath.Join(d.Root, "config.toml"), []byte("nonsense = 1\n"), 0o600))
		a = d.Agent().Manage("POST", "/device/reprovision", "")
		require.Equal(t, http.StatusInternalServerError, a.Status, "the agent cannot mend the file")
		d.WaitFor("eater", "running")
	})
}

// resources are read from the control groups of real modules.
func resources(t *testing.T, d *device.Device) {
	read := func() (used wire.SystemResources, eater container.StatsResponse) {
		a := d.Host("GET", "/systeminfo/resources?"+device.Version, "")
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		require.NoError(t, json.Unmarshal([]byte(a.Body), &used))
		var all []container.StatsResponse
		require.NoError(t, json.Unmarshal([]byte(used.DockerStats), &all))
		for _, s := range all {
			if s.Name == "/eater" {
				eater = s
			}
		}
		require.NotEmpty(t, eater.ID, "%s", used.DockerStats)
		return used, eater
	}
	used, eater := read()
	require.NotZero(t, used.HostUptime)
	require.NotZero(t, used.TotalRAM)
	require.NotEmpty(t, used.Disks)
	require.EqualValues(t, 64<<20, eater.MemoryStats.Limit)
	require.EqualValues(t, 50, eater.PidsStats.Limit)
	require.NotZero(t, eater.PidsStats.Current)
	require.NotZero(t, eater.MemoryStats.Usage)
	require.Less(t, eater.MemoryStats.Usage, eater.MemoryStats.Limit)
	before := eater.CPUStats.CPUUsage.TotalUsage
	d.Eventually("its use grows with what it does, and is told since an earlier call", func() bool {
		d.Probe("eater").Manage("GET", "/modules", "")
		_, now := read()
		return now.CPUStats.CPUUsage.TotalUsage > before && !now.PreRead.IsZero()
	})
	require.Contains(t, d.Host("GET", "/systeminfo?"+device.Version, "").Body, `"virtualized":`)
}

// supportBundle is looked through byte by byte for what modules were given in confidence.
func supportBundle(t *testing.T, d *device.Device) {
	a := d.Host("GET", "/systeminfo/supportbundle?"+device.Version, "")
	require.Equal(t, http.StatusOK, a.Status)
	require.Equal(t, "application/zip", a.Header.Get("Content-Type"))
	z, err := zip.NewReader(bytes.NewReader([]byte(a.Body)), int64(len(a.Body)))
	require.NoError(t, err)
	all := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		all[f.Name] = string(b)
		require.NotContains(t, string(b), "hush-", f.Name)
	}
	require.Contains(t, all["modules.json"], `"TOKEN=[redacted]"`)
	require.Contains(t, all["modules.json"], `"TZ=Europe/Berlin"`)
	require.Contains(t, all["logs/talker_log.txt"], "my token is [redacted]")
	require.Contains(t, all, "logs/edgeAgent_log.txt")
	require.Contains(t, all["config.toml"], "version = 1")
	require.Contains(t, all["metrics.txt"], `edged_modules{state="running"} 3`)
	require.NotEmpty(t, all["network/addresses.txt"])
	only := d.Host("GET", fmt.Sprintf("/systeminfo/supportbundle?%s&edge_runtime_only=true", device.Version), "")
	require.NotContains(t, only.Body, "logs/talker_log.txt")
	require.Equal(t, http.StatusForbidden, d.Probe("eater").Manage("GET", "/systeminfo/supportbundle", "").Status, "not for modules")
}
