// Package volume reads, inside modules on a real containerd and on the disk, what
// volumes do.
package volume

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

// filled is the probe's image with things worth copying at /data, which it declares
// as a volume, and at /etc/app; /link leads to the latter.
const filled = "edged.local/filled:1"

func importFilled(t *testing.T, d *device.Device) {
	image := device.ProbeImage(t, filled)
	image.Config.Volumes = map[string]struct{}{"/data": {}}
	image.Layers = append(image.Layers, archive.Layer{
		"/data":            {Mode: os.ModeDir | os.ModeSetgid | 0o770, UID: 1000, GID: 1234},
		"/data/file":       {Body: []byte("from the image"), Mode: 0o640, UID: 1000, GID: 1000},
		"/data/tool":       {Body: []byte("#!/bin/sh\n"), Mode: os.ModeSetuid | 0o755},
		"/data/out":        {Link: "/etc/passwd"},
		"/data/deep/er":    {Mode: os.ModeDir | os.ModeSticky | 0o777},
		"/etc/app/default": {Body: []byte("here")},
		"/link":            {Link: "/etc/app"},
		"/escape":          {Link: "../../../../../../etc"},
	})
	file := filepath.Join(d.Root, "filled.tar")
	f, err := os.Create(file)
	require.NoError(t, err)
	require.NoError(t, archive.Write(f, image))
	require.NoError(t, f.Close())
	d.Ctr("images", "import", file)
}

// with is a probe module of the image with mounts.
func with(d *device.Device, name string, binds []string, mounts ...map[string]any) wire.ModuleSpec {
	spec := device.WithOptions(d.Spec(name), func(_, host map[string]any) {
		for _, b := range binds {
			host["Binds"] = append(host["Binds"].([]any), b)
		}
		if len(mounts) > 0 {
			host["Mounts"] = mounts
		}
	})
	spec.Config.Settings.Image = filled
	return spec
}

func subpath(volume, target, sub string) map[string]any {
	return map[string]any{"Type": "volume", "Source": volume, "Target": target, "VolumeOptions": map[string]any{"Subpath": sub}}
}

// sh runs a shell command in a module and returns what it prints.
func sh(d *device.Device, name, command string) string {
	id := d.Containers(name + "-")[0]
	return d.Ctr("tasks", "exec", "--exec-id", rand.Text(), id, "/bin/busybox", "sh", "-c", "export PATH=/bin; "+command)
}

// data is a volume's folder on the host.
func data(d *device.Device, volume string) string {
	return filepath.Join(d.Home, "volumes", volume, "_data")
}

func volumes(t *testing.T, d *device.Device) map[string]wire.Volume {
	t.Helper()
	a := d.Host(http.MethodGet, "/volumes?"+device.Version, "")
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var list wire.VolumeList
	require.NoError(t, json.Unmarshal([]byte(a.Body), &list))
	all := map[string]wire.Volume{}
	for _, v := range list.Volumes {
		all[v.Name] = v
	}
	return all
}

// anonymous is the only anonymous volume of a module.
func anonymous(t *testing.T, d *device.Device, module string) string {
	t.Helper()
	var found []string
	for _, v := range volumes(t, d) {
		if v.Anonymous && len(v.Modules) == 1 && v.Modules[0] == module {
			found = append(found, v.Name)
		}
	}
	require.Len(t, found, 1)
	return found[0]
}

func remove(d *device.Device, volume string) device.Answer {
	return d.Host(http.MethodDelete, "/volumes/"+url.PathEscape(volume)+"?"+device.Version, "")
}

func update(t *testing.T, d *device.Device, spec wire.ModuleSpec) {
	t.Helper()
	a := d.Agent().Manage("PUT", "/modules/"+spec.Name+"?start=true", d.Body(spec))
	require.Equal(t, http.StatusOK, a.Status, a.Body)
}

func deleteModule(t *testing.T, d *device.Device, name string) {
	t.Helper()
	a := d.Agent().Manage("DELETE", "/modules/"+name, "")
	require.Equal(t, http.StatusNoContent, a.Status, a.Body)
}

// refused creates a module, which must not come about, and returns why.
func refused(t *testing.T, d *device.Device, spec wire.ModuleSpec, status int) string {
	t.Helper()
	a := d.Agent().Manage("POST", "/modules", d.Body(spec))
	require.Equal(t, status, a.Status, a.Body)
	_, there := d.Get(spec.Name)
	require.Equal(t, http.StatusNotFound, there)
	require.Empty(t, d.Containers(spec.Name+"-"))
	return a.Message()
}
