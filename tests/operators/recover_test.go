package operators

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

func TestADeviceComesBackFromItsBackup(t *testing.T) {
	o := newOperator(t)
	o.apply(0, o.manifest(waiting("pump", "one")))
	archive := filepath.Join(t.TempDir(), "b.tar.gz")
	o.must("backup", "--config", o.config(), "-o", archive)
	st, err := os.Stat(archive)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, st.Mode().Perm(), "the keys are in it")
	ca := o.must("ca", "show", "--format", "{{.SHA256}}")

	require.Contains(t, o.edgectl("factory-reset", "--config", o.config(), "--yes").err, "stop it first")
	o.Edged.Signal(syscall.SIGTERM)
	o.must("factory-reset", "--config", o.config(), "--yes")
	require.NoFileExists(t, filepath.Join(o.Home, "edged.db"))
	o.StartEdged()
	o.WaitFor("edgeAgent", "running")
	o.Eventually("the module of before is gone", func() bool { return len(o.Containers("pump")) == 0 })
	require.NotEqual(t, ca, o.must("ca", "show", "--format", "{{.SHA256}}"), "the device has new keys")

	require.Equal(t, 1, o.edgectl("restore", "--config", o.config(), "--yes", archive).code, "edged runs")
	o.Edged.Signal(syscall.SIGTERM)
	o.must("restore", "--config", o.config(), "--yes", archive)
	o.StartEdged()
	o.WaitFor("pump", "running")
	require.Equal(t, ca, o.must("ca", "show", "--format", "{{.SHA256}}"))
}

// TestRecoverBringsThePackagedAgentBack is the device whose agent replaced itself by
// something that does nothing.
func TestRecoverBringsThePackagedAgentBack(t *testing.T) {
	o := newOperator(t)
	version := strings.TrimSpace(o.must("version", "--format", "{{.Client.Version}}"))
	o.Edged.Signal(syscall.SIGTERM)
	o.put("config.d/agent.toml", "[agent]\nimage = \""+device.Image+"\"\ncreate_options = '{\"Cmd\":[\"sleep\"]}'\n")
	o.StartEdged()
	o.Eventually("the other agent runs", func() bool {
		m, _ := o.Get("edgeAgent")
		return m.Config.Settings.Image == device.Image && m.Status.RuntimeStatus.Status == "running"
	})
	require.Equal(t, 3, o.edgectl("apply", "--yes", "--timeout", "2s", "-f", o.manifest(waiting("pump", "one"))).code)
	require.Contains(t, o.edgectl("recover", "--config", o.config(), "--yes").err, "stop it first")
	o.Edged.Signal(syscall.SIGTERM)
	o.must("recover", "--config", o.config(), "--yes")
	o.StartEdged()
	o.WaitFor("pump", "running")
	m, _ := o.Get("edgeAgent")
	require.Equal(t, "edged.local/agent:"+version, m.Config.Settings.Image)
	require.Contains(t, o.EdgedLog(), `RECOVER`)
}
