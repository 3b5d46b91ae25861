package agent

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

// TestTheExampleOfAnAgentWorks: what the documentation shows manages a device.
func TestTheExampleOfAnAgentWorks(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "agent")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./docs/examples/agent")
	build.Dir, build.Env = device.Repository(), append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	body, err := os.ReadFile(program)
	require.NoError(t, err)

	r := &rig{device.New(t, device.Options{NoAgent: true}), t}
	tmp := filepath.Join(r.Root, "agent.tar")
	f, err := os.Create(tmp)
	require.NoError(t, err)
	require.NoError(t, archive.Write(f, archive.Image{
		Ref: "edged.local/none:1", Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config: ocispec.ImageConfig{Entrypoint: []string{"/agent"}, User: "65532:65532"},
		Layers: []archive.Layer{{"/agent": {Body: body, Mode: 0o755}}},
	}))
	require.NoError(t, f.Close())
	require.NoError(t, os.Rename(tmp, filepath.Join(r.Home, "images", "agent.tar")))
	r.WaitFor("edgeAgent", "running")
	r.Eventually("it says that there is nothing yet", func() bool {
		return strings.Contains(r.Logs("edgeAgent", ""), "deployment.json")
	})

	one, two := r.CommandSpec("one", "sleep"), r.CommandSpec("two", "sleep")
	one.Config.Env, two.Config.Env = []wire.EnvVar{}, []wire.EnvVar{}
	r.give(one, two)
	r.WaitFor("one", "running")
	first := r.WaitFor("two", "running")
	one.Config.Env = []wire.EnvVar{{Key: "A", Value: "b"}}
	r.give(one, two)
	r.Eventually("one is another", func() bool {
		m, _ := r.Get("one")
		return len(m.Config.Env) == 1 && m.Status.RuntimeStatus.Status == "running"
	})
	r.give(two)
	r.Eventually("one is gone", func() bool { return len(r.modules()) == 1 })
	require.Equal(t, first.Status.StartTime, r.modules()["two"].Status.StartTime, "nothing was done to the other")
}

// give hands specs to the agent as the documentation does.
func (r *rig) give(specs ...wire.ModuleSpec) {
	r.t.Helper()
	text, err := json.Marshal(specs)
	require.NoError(r.t, err)
	body, err := json.Marshal(map[string]string{"manifest": base64.StdEncoding.EncodeToString(text)})
	require.NoError(r.t, err)
	a := r.Host("PUT", "/deployment?"+device.Version, string(body))
	require.Equal(r.t, 200, a.Status, a.Body)
}
