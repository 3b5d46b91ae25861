package spine

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/tests/device"
)

// TestMovedFoldersAreThoseOfModules: what containers have mounted is where the home and the sockets were when they were made.
func TestMovedFoldersAreThoseOfModules(t *testing.T) {
	d := device.New(t, device.Options{})
	for _, name := range []string{"on", "off"} {
		d.Create(device.WithOptions(d.Spec(name), func(_, host map[string]any) { host["Binds"] = append(host["Binds"].([]any), name+"-data:/data") }))
	}
	d.Post("on", "start")
	mounts := func(name string) string {
		for line := range strings.Lines(d.Ctr("tasks", "list")) {
			if words := strings.Fields(line); words[0] == module.ContainerID(name, 1) {
				b, _ := os.ReadFile(filepath.Join("/proc", words[1], "mountinfo")) // it may end meanwhile
				return string(b)
			}
		}
		return ""
	}
	before := []string{d.Home, d.Run}
	for _, folder := range before {
		require.Contains(t, mounts("on"), folder+"/")
	}
	kept := filepath.Join("volumes", "on-data", "_data", "kept")
	require.NoError(t, os.WriteFile(filepath.Join(d.Home, kept), []byte("bytes"), 0o600))

	d.Edged.Signal(syscall.SIGTERM)
	d.Home, d.Run = filepath.Join(d.Root, "moved-home"), filepath.Join(d.Root, "moved-run")
	require.NoError(t, os.Rename(before[0], d.Home))
	file := filepath.Join(d.Root, "config.toml")
	config, err := os.ReadFile(file)
	require.NoError(t, err)
	moved := strings.NewReplacer(before[0]+`"`, d.Home+`"`, before[1]+`"`, d.Run+`"`, before[1]+"/", d.Run+"/").Replace(string(config))
	require.NoError(t, os.WriteFile(file, []byte(moved), 0o600))
	d.StartEdged()

	for _, name := range []string{"edgeAgent", "on"} {
		d.Eventually(name+" is made anew", func() bool { return strings.Contains(mounts(name), d.Home+"/") })
		d.WaitFor(name, "running")
	}
	require.Equal(t, http.StatusOK, d.Agent().Manage(http.MethodGet, "/modules", "").Status, "its socket is the new one")
	d.Post("off", "start") // has never run, and was made for the old home
	for _, name := range []string{"on", "off", "edgeAgent"} {
		require.Contains(t, mounts(name), d.Home+"/", name)
		for _, folder := range before {
			require.NotContains(t, mounts(name), folder+"/", name)
		}
	}
	b, err := os.ReadFile(filepath.Join(d.Home, kept))
	require.NoError(t, err)
	require.Equal(t, "bytes", string(b))

	// Once more without a change, nothing is made anew.
	b, err = os.ReadFile(filepath.Join(d.Root, "edged.log"))
	require.NoError(t, err)
	made := strings.Count(string(b), "made anew")
	d.Edged.Signal(syscall.SIGTERM)
	d.StartEdged()
	d.WaitFor("on", "running")
	b, err = os.ReadFile(filepath.Join(d.Root, "edged.log"))
	require.NoError(t, err)
	require.Equal(t, made, strings.Count(string(b), "made anew"))
	require.NotZero(t, made)
}
