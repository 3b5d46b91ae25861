package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/tests/device"
)

// TestCreateOptionsOfRealManifestsRun runs options of the kinds that public manifests have: databases, brokers,
// cameras, buses. They all run at once, as on a gateway that has all of them.
func TestCreateOptionsOfRealManifestsRun(t *testing.T) {
	d := device.New(t, device.Options{Network: true})
	files, err := filepath.Glob("testdata/manifests/*.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 20)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			d := d.For(t)
			top := map[string]any{}
			read(t, file, &top)
			here(t, d, top)
			top["Entrypoint"], top["Cmd"] = []string{"/bin/probe", "sleep"}, []string{}
			spec := d.CommandSpec(name)
			spec.Config.Settings.CreateOptions, err = json.Marshal(top)
			require.NoError(t, err)
			d.CreateAndStart(spec)
			d.WaitFor(name, "running")
		})
	}
}

func read(t *testing.T, file string, into any) {
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, into), file)
}

// here puts folders and devices that this machine does not have into the device's own folder.
func here(t *testing.T, d *device.Device, top map[string]any) {
	host, _ := top["HostConfig"].(map[string]any)
	binds, _ := host["Binds"].([]any)
	for i, b := range binds {
		if source, _, _ := strings.Cut(b.(string), ":"); strings.HasPrefix(source, "/srv/") || missing(source) {
			binds[i] = filepath.Join(d.Root, "host") + b.(string)
		}
	}
	devices, _ := host["Devices"].([]any)
	for _, entry := range devices {
		mapping := entry.(map[string]any)
		if path := mapping["PathOnHost"].(string); missing(path) {
			node := filepath.Join(d.Root, fmt.Sprintf("%s-%s", filepath.Base(t.Name()), filepath.Base(path)))
			require.NoError(t, unix.Mknod(node, unix.S_IFCHR|0o660, int(unix.Mkdev(1, 3))))
			mapping["PathOnHost"] = node
		}
	}
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return err != nil
}
