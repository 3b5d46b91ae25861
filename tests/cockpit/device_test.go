//go:build cockpit

package cockpit

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/pack/packtest"
	"github.com/edged/edged/tests/device"
)

const (
	// hostileName is what a module may be called: markup, and a character that turns the direction of what follows.
	hostileName = "<img src=x onerror=parent.hacked=1>\u202egnp"
	// hostileShown is how a person is shown it.
	hostileShown = `<img src=x onerror=parent.hacked=1>\u202egnp`
	longName     = "temperature-and-humidity-of-the-northern-greenhouse-behind-the-old-boiler-house-sensor-number-0000000000000000000012345678"
	// hostilePrints is a shell's script that prints what would retitle a terminal, and markup, on both outputs.
	hostilePrints = `printf '\033]0;owned\007\033[31mred\033[0m <img src=x onerror=parent.hacked=1><script>parent.hacked=1</script> \xff \342\200\256txet\n'; ` +
		`printf '<svg onload=parent.hacked=1> complains\n' >&2; trap 'exit 0' TERM; while :; do sleep 0.1; done`
)

// newDevice has modules of every kind, a bundle, a package, and rows in the catalog. There is no OSGi host.
func newDevice(t *testing.T) *device.Device {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.CommandSpec("pump", "ticker", "250ms"))
	d.CreateAndStart(d.CommandSpec("valve", "sleep"))
	d.CreateAndStart(d.CommandSpec("broken", "exit", "3"))
	d.CreateAndStart(d.CommandSpec(longName, "sleep"))
	hostile := device.WithOptions(d.CommandSpec(hostileName), func(top, _ map[string]any) {
		top["Entrypoint"] = []string{"/bin/busybox", "sh", "-c", hostilePrints}
	})
	d.CreateAndStart(hostile)
	// Nothing is wrong with its description; that it cannot run is found at the start.
	d.Create(device.WithOptions(d.CommandSpec("nothing"), func(top, _ map[string]any) { top["Entrypoint"] = []string{"/no/such/program"} }))

	bringBundle(t, d)
	bringPackage(t, d)
	for _, name := range []string{"gateway", "historian"} {
		row := map[string]any{
			"name": name, "stream": "12.4", "version": "20260101", "context": "0123abcd", "koji_tag": "x", "modulemd": "data", "active": name == "gateway",
			"rpms": []map[string]string{{"name": "libssl3", "arch": "amd64", "epoch": "0", "version": "3.0.19", "release": "1<b>", "srpm_name": "openssl", "srpm_nevra": "openssl-0:3.0.19-1.src"}},
		}
		b, err := json.Marshal(row)
		require.NoError(t, err)
		a := d.Host(http.MethodPost, "/rest_api/v1/modules/", string(b))
		require.Equal(t, http.StatusCreated, a.Status, a.Body)
	}
	return d
}

func bringBundle(t *testing.T, d *device.Device) {
	t.Helper()
	upload(t, d, "/modules/api/bundles", "bundle", packtest.Bundle{Headers: map[string]string{
		"Bundle-SymbolicName": "news", "Bundle-Version": "2.0.1", "Bundle-Name": "News <b>of the plant</b>", "Bundle-Vendor": "The plant",
	}}.Bytes())
}

func bringPackage(t *testing.T, d *device.Device) {
	t.Helper()
	upload(t, d, "/v1/modules", "module", packtest.RAMP{Fields: map[string]any{
		"module_name": "search", "display_name": "Search <i>everything</i>", "description": "Looks for things, in a great many words that need more room than a narrow screen has",
	}}.Bytes())
}

// upload brings a file to the device.
func upload(t *testing.T, d *device.Device, path, field string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	out, err := w.CreateFormFile(field, field)
	require.NoError(t, err)
	_, err = out.Write(body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	res, err := device.UnixClient(d.Management()).Post("http://localhost"+path, w.FormDataContentType(), &b)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, string(text))
}
