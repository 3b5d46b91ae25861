// Package agent applies deployments on a whole device: the packaged agent in its module,
// edged and a real containerd, with manifests as people have them.
package agent

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
	"github.com/edged/edged/tests/device"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a device and what an operator does to it.
type rig struct {
	*device.Device
	t *testing.T
}

// newRig is a device with the agent that packages bring along.
func newRig(t *testing.T, opt device.Options) *rig {
	opt.Packaged = true
	r := &rig{device.New(t, opt), t}
	t.Cleanup(func() {
		if t.Failed() {
			said, _ := os.ReadFile(filepath.Join(r.Home, "agent", "status", deployment.StatusFile))
			t.Logf("---- what the agent says ----\n%s", said)
		}
	})
	return r
}

func (r *rig) sub(t *testing.T) *rig { return &rig{r.For(t), t} }

func (r *rig) desired() string { return filepath.Join(r.Home, "agent", "desired") }

// write puts a file into the folder of what is desired, at once, as edgectl does.
func (r *rig) write(name, text string) {
	r.t.Helper()
	dir, err := os.Stat(r.desired())
	require.NoError(r.t, err)
	group := int(dir.Sys().(*syscall.Stat_t).Gid)
	require.NotZero(r.t, group, "there is no group edged: groupadd --system edged")
	tmp := filepath.Join(r.desired(), "."+name)
	require.NoError(r.t, os.WriteFile(tmp, []byte(text), 0o640))
	require.NoError(r.t, os.Chown(tmp, 0, group))
	require.NoError(r.t, os.Rename(tmp, filepath.Join(r.desired(), name)))
}

// apply writes a manifest and waits until it has come to an end.
func (r *rig) apply(text string) deployment.Status {
	r.t.Helper()
	r.write(deployment.ManifestFile, text)
	return r.end(revision(text))
}

// end waits until a revision has come to an end.
func (r *rig) end(revision string) deployment.Status {
	r.t.Helper()
	var s deployment.Status
	r.Eventually("revision "+revision[:12]+" has come to an end", func() bool {
		s = r.status()
		return s.Revision == revision && s.Phase.Done()
	})
	return s
}

func (r *rig) status() deployment.Status {
	b, err := os.ReadFile(filepath.Join(r.Home, "agent", "status", deployment.StatusFile))
	var s deployment.Status
	if err == nil {
		require.NoError(r.t, json.Unmarshal(b, &s), "it is never half written")
	}
	return s
}

// modules are all but the agent, by name.
func (r *rig) modules() map[string]wire.Module {
	r.t.Helper()
	a := r.Host(http.MethodGet, "/modules?"+device.Version, "")
	require.Equal(r.t, http.StatusOK, a.Status, a.Body)
	var list wire.ModuleList
	require.NoError(r.t, json.Unmarshal([]byte(a.Body), &list))
	modules := map[string]wire.Module{}
	for _, m := range list.Modules {
		if m.Name != "edgeAgent" {
			modules[m.Name] = m
		}
	}
	return modules
}

// running are the names of modules that run, in order.
func (r *rig) running() []string {
	var names []string
	for name, m := range r.modules() {
		if m.Status.RuntimeStatus.Status == "running" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(b)
}
