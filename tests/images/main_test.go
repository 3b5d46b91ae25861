// Package images tests where images come from and when they go: real registries, a real
// containerd, and edged on it.
package images

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pull asks for an image as the host does, and returns the lines of the answer.
func pull(t *testing.T, d *device.Device, body wire.ImagePull) (device.Answer, []wire.PullStatus) {
	t.Helper()
	b, err := json.Marshal(body)
	require.NoError(t, err)
	a := d.Host(http.MethodPost, "/images/pull?"+device.Version, string(b))
	var lines []wire.PullStatus
	if a.Status == http.StatusOK {
		dec := json.NewDecoder(strings.NewReader(a.Body))
		for dec.More() {
			var s wire.PullStatus
			require.NoError(t, dec.Decode(&s), a.Body)
			lines = append(lines, s)
		}
	}
	return a, lines
}

// watch begins a pull and leaves when its progress is as wanted; the pull goes on.
func watch(t *testing.T, d *device.Device, ref string, until func(wire.PullStatus) bool) {
	t.Helper()
	body, err := json.Marshal(wire.ImagePull{Image: ref})
	require.NoError(t, err)
	res, err := device.UnixClient(d.Management()).Post("http://edged/images/pull?"+device.Version, "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, "application/x-ndjson", res.Header.Get("Content-Type"))
	for dec := json.NewDecoder(res.Body); ; {
		var s wire.PullStatus
		require.NoError(t, dec.Decode(&s), "there is progress while it goes on")
		if until(s) {
			return
		}
	}
}

// pulled wants a pull to succeed.
func pulled(t *testing.T, d *device.Device, ref string) wire.PullStatus {
	t.Helper()
	a, lines := pull(t, d, wire.ImagePull{Image: ref})
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	last := lines[len(lines)-1]
	require.Equal(t, wire.PullDone, last.Status, a.Body)
	return last
}

func list(t *testing.T, d *device.Device) map[string]wire.Image {
	t.Helper()
	a := d.Host(http.MethodGet, "/images?"+device.Version, "")
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var l wire.ImageList
	require.NoError(t, json.Unmarshal([]byte(a.Body), &l))
	byName := map[string]wire.Image{}
	for _, i := range l.Images {
		byName[i.Name] = i
	}
	return byName
}

func prune(t *testing.T, d *device.Device, body string) wire.ImagesPruned {
	t.Helper()
	a := d.Host(http.MethodPost, "/images/prune?"+device.Version, body)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var p wire.ImagesPruned
	require.NoError(t, json.Unmarshal([]byte(a.Body), &p))
	return p
}

// edgectl runs the operator's program.
func edgectl(d *device.Device, stdin string, args ...string) (out, errs string, code int) {
	cmd := exec.Command(filepath.Join(device.Repository(), "bin", "edgectl"), append([]string{"--host", d.Management()}, args...)...)
	var o, e strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &o, &e
	_ = cmd.Run()
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// hosts writes the hosts.toml of a registry. containerd writes the colon of a port as "_" on both sides.
func hosts(t *testing.T, dir, registry, text string) {
	t.Helper()
	if host, port, ok := strings.Cut(registry, ":"); ok {
		registry = host + "_" + port + "_"
	}
	folder := filepath.Join(dir, registry)
	require.NoError(t, os.MkdirAll(folder, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "hosts.toml"), []byte(text), 0o644))
}
