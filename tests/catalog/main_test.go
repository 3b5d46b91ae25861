// Package catalog tests the catalog on a whole device: what is inside real images, who
// may ask and write, and programs that are not edged's.
package catalog

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// database is a file of testdata of the package that reads it.
func database(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(device.Repository(), "pkg/catalog/inventory/testdata", name))
	require.NoError(t, err)
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(b))
		require.NoError(t, err)
		b, err = io.ReadAll(z)
		require.NoError(t, err)
	}
	return b
}

// The images: the probe with the database of a package manager.
const (
	debian     = "registry.example/library/debian:12.4"
	alpine     = "registry.example/library/alpine:3.19.1"
	enterprise = "registry.example/ubi9:9.4"
	hostile    = "registry.example/hostile:1"
)

// newDevice has the images on it.
func newDevice(t *testing.T, config string) *device.Device {
	t.Helper()
	home := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(home, "images"), 0o700))
	f, err := os.Create(filepath.Join(home, "images", "distributions.tar"))
	require.NoError(t, err)
	defer f.Close()
	image := func(ref string, layer archive.Layer) archive.Image {
		i := device.ProbeImage(t, ref)
		i.Layers = append(i.Layers, layer)
		return i
	}
	require.NoError(t, archive.Write(f,
		image(debian, archive.Layer{"/var/lib/dpkg/status": {Body: database(t, "dpkg-status"), Mode: 0o644}}),
		image(alpine, archive.Layer{"/lib/apk/db/installed": {Body: database(t, "apk-installed"), Mode: 0o644}}),
		image(enterprise, archive.Layer{
			"/usr/lib/sysimage/rpm/rpmdb.sqlite": {Body: database(t, "rpmdb.sqlite.gz"), Mode: 0o600}, "/var/lib/rpm": {Link: "/usr/lib/sysimage/rpm"},
		}),
		image(hostile, archive.Layer{"/var/lib/dpkg/status": {Link: "/../../../../../../../../../../../../var/lib/dpkg/status"}, "/lib/apk/db/installed": {Body: bytes.Repeat([]byte("x"), 2<<20), Mode: 0o644}}),
	))
	return device.New(t, device.Options{Home: home, Config: config})
}

// spec is a module of an image.
func spec(d *device.Device, name, image string) wire.ModuleSpec {
	s := d.Spec(name)
	s.Config.Settings.Image = image
	return s
}

// list asks for rows as the host does.
func list(t *testing.T, d *device.Device, query string) []wire.Build {
	t.Helper()
	a := d.Host(http.MethodGet, "/rest_api/v1/modules/?"+query, "")
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var page wire.BuildPage
	require.NoError(t, json.Unmarshal([]byte(a.Body), &page))
	return page.Results
}

func edgectl(t *testing.T, d *device.Device, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(device.Repository(), "bin", "edgectl"), append([]string{"--host", d.Management()}, args...)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}
