package operators

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/tests/device"
)

// TestCheckFindsPlantedFaults plants one fault after the other in a device that works,
// and takes each back.
func TestCheckFindsPlantedFaults(t *testing.T) {
	o := newOperator(t)
	ours := []string{
		"config", "config-mode", "home", "socket-management", "socket-workload", "edged", "version", "peer-proof", "containerd", "runc", "shim", "keystore", "ca",
		"preload", "agent", "deployment", "modules", "log-rotation", "catalog",
	}
	fine := func(when string) {
		for id, r := range o.check(ours...) {
			require.Equal(t, "ok", r.Status, "%s: %s: %s", when, id, r.Found)
		}
	}
	fine("at first")
	chmod := func(path string, mode os.FileMode) func() func() {
		return func() func() {
			st, err := os.Stat(path)
			require.NoError(t, err)
			require.NoError(t, os.Chmod(path, mode))
			return func() { require.NoError(t, os.Chmod(path, st.Mode())) }
		}
	}
	for _, c := range []struct {
		name, id string
		want     string
		plant    func() (mend func())
	}{
		{"an unknown key", "config", "error", func() func() {
			path := o.put("config.d/wrong.toml", "[containerd]\nsubnet = \"/x\"\n")
			return func() { require.NoError(t, os.Remove(path)) }
		}},
		{"a file that all may write", "config-mode", "error", chmod(o.config(), 0o666)},
		{"an open home", "home", "error", chmod(o.Home, 0o777)},
		{"a key that all may read", "keystore", "error", chmod(filepath.Join(o.Home, "keys", "master"), 0o644)},
		{"a socket that all may use", "socket-management", "warning", chmod(o.Management(), 0o666)},
		{"a socket that few may use", "socket-workload", "warning", chmod(o.Workload(), 0o600)},
		{"an archive that is empty", "preload", "error", func() func() {
			path := filepath.Join(o.Home, "images", "broken.tar")
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			return func() { require.NoError(t, os.Remove(path)) }
		}},
		{"an agent that was stopped", "agent", "error", func() func() {
			o.must("stop", "edgeAgent")
			return func() {
				o.must("start", "edgeAgent")
				o.WaitFor("edgeAgent", "running")
			}
		}},
		{"a module that fails", "modules", "warning", func() func() {
			// It runs, so that the deployment is good, and is killed behind edged's back.
			o.apply(0, o.manifest(`"faulty":{"restartPolicy":"never","settings":{"image":"`+device.Image+`","createOptions":"{\"Cmd\":[\"stubborn\"],\"HostConfig\":{\"NetworkMode\":\"none\"}}"}}`))
			o.Ctr("tasks", "kill", "--signal", "SIGKILL", module.ContainerID("faulty", 1))
			o.WaitFor("faulty", "failed")
			return func() { o.apply(0, o.manifest("")) }
		}},
		{"a deployment that fails", "deployment", "error", func() func() {
			o.apply(1, o.manifest(`"none":{"imagePullPolicy":"never","settings":{"image":"edged.local/none:1"}}`))
			return func() { o.apply(0, o.manifest("")) }
		}},
		{"containerd is down", "containerd", "error", func() func() {
			o.Containerd.Signal(syscall.SIGKILL)
			return func() {
				o.StartContainerd()
				o.Eventually("edged has containerd again", func() bool { return o.check("containerd")["containerd"].Status == "ok" })
			}
		}},
		{"a catalog that is broken", "catalog", "error", func() func() {
			o.Edged.Signal(syscall.SIGTERM)
			path := filepath.Join(o.Home, "catalog.db")
			whole, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, []byte("nonsense"), 0o600))
			o.StartEdged()
			return func() {
				o.Edged.Signal(syscall.SIGTERM)
				require.NoError(t, os.WriteFile(path, whole, 0o600))
				o.StartEdged()
				o.WaitFor("edgeAgent", "running")
			}
		}},
		{"edged is down", "edged", "error", func() func() {
			o.Edged.Signal(syscall.SIGTERM)
			return o.StartEdged
		}},
	} {
		mend := c.plant()
		r := o.check(c.id)[c.id]
		require.Equal(t, c.want, r.Status, "%s: %+v", c.name, r)
		require.NotEmpty(t, r.Cure, c.name)
		require.Equal(t, c.want == "error", o.edgectl("check", "--config", o.config(), c.id).code == 1, c.name)
		mend()
		require.Equal(t, "ok", o.check(c.id)[c.id].Status, "%s is mended", c.name)
	}
	fine("at last")
}
