package workload

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// borrow makes a module run a program of the host: it sees the host's /usr, read-only, and so is a whole Debian with an interpreter, while process, cgroup and
// sockets are a module's like any other's. What is in files lies in /probe. It returns what the program printed once it is over.
func borrow(t *testing.T, d *device.Device, name string, files map[string]string, binds []string, command ...string) string {
	t.Helper()
	spec := d.Spec(name)
	for file, from := range files {
		b, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(d.ProbeDir(name), file), b, 0o644))
	}
	spec = device.WithOptions(spec, func(top, host map[string]any) {
		top["Entrypoint"], top["WorkingDir"] = command, "/probe"
		all := []any{d.ProbeDir(name) + ":/probe", "/usr:/usr:ro", "/usr/lib:/lib:ro", "/etc/ssl:/etc/ssl:ro"}
		if _, err := os.Stat("/usr/lib64"); err == nil {
			all = append(all, "/usr/lib64:/lib64:ro")
		}
		for _, b := range binds {
			all = append(all, b)
		}
		host["Binds"] = all
	})
	d.CreateAndStart(spec)
	m := d.WaitFor(name, "stopped")
	require.Equal(t, "0", m.Status.ExitStatus.StatusCode, d.Logs(name, ""))
	return d.Logs(name, "")
}

// The Python SDK's transport, of the packages that Debian has: python3-requests-unixsocket. It names no content type when it signs.
func TestThePythonClientSigns(t *testing.T) {
	d := device.New(t, device.Options{})
	printed := borrow(t, d, "python", map[string]string{"client.py": "testdata/client.py"}, nil, "/usr/bin/python3", "/probe/client.py", "text")
	var answer struct {
		Digest, Bundle string
		Other          int
	}
	require.NoError(t, json.Unmarshal([]byte(printed), &answer), printed)
	require.Equal(t, http.StatusForbidden, answer.Other)
	// The same module with another program signs the same.
	deleteModule(t, d, "python")
	m := run(t, d, "python")
	require.Equal(t, m.sign("text"), answer.Digest)
	require.Equal(t, m.field(m.get("/trust-bundle"), "certificate"), answer.Bundle)
}
