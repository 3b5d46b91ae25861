package agent

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/tests/device"
)

func TestTheAgentIsKeptRunning(t *testing.T) {
	t.Parallel()
	r := newRig(t, device.Options{})
	first := r.WaitFor("edgeAgent", "running")

	// It dies.
	r.Ctr("tasks", "kill", "-s", "KILL", r.Containers("edgeAgent-")[0])
	r.Eventually("it runs again", func() bool {
		m, _ := r.Get("edgeAgent")
		return m.Status.RuntimeStatus.Status == "running" && m.Status.StartTime != first.Status.StartTime
	})

	// Its container is lost while edged is away.
	r.Edged.Signal(syscall.SIGTERM)
	id := r.Containers("edgeAgent-")[0]
	r.Ctr("tasks", "rm", "-f", id)
	r.Ctr("containers", "rm", id)
	r.StartEdged()
	r.WaitFor("edgeAgent", "running")
	require.NotEmpty(t, r.Containers("edgeAgent-"))

	// [agent] changes, and then does not.
	config := filepath.Join(r.Root, "config.toml")
	b, err := os.ReadFile(config)
	require.NoError(t, err)
	changed := strings.Replace(string(b), "\nenv = {}", "\nenv = { EDGED_AGENT_HEALTHY_WITHIN = \"7s\" }", 1)
	require.NotEqual(t, string(b), changed)
	require.NoError(t, os.WriteFile(config, []byte(changed), 0o600))
	r.Edged.Signal(syscall.SIGTERM)
	r.StartEdged()
	r.Eventually("the new one runs", func() bool {
		m, _ := r.Get("edgeAgent")
		return m.Status.RuntimeStatus.Status == "running" && len(m.Config.Env) == 1
	})
	r.Eventually("the old one is gone", func() bool { return len(r.Containers("edgeAgent-")) == 1 })
	before := r.Containers("edgeAgent-")
	r.Edged.Signal(syscall.SIGTERM)
	r.StartEdged()
	r.WaitFor("edgeAgent", "running")
	require.Equal(t, before, r.Containers("edgeAgent-"))
}

func TestAnAgentWhoseImageComesLaterIsMadeThen(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{NoAgent: true})
	d.Eventually("edged says that it is missing", func() bool { return strings.Contains(d.EdgedLog(), "cannot keep edgeAgent running") })
	tmp := filepath.Join(d.Root, "late.tar")
	f, err := os.Create(tmp)
	require.NoError(t, err)
	require.NoError(t, archive.Write(f, device.ProbeImage(t, "edged.local/none:1")))
	require.NoError(t, f.Close())
	require.NoError(t, os.Rename(tmp, filepath.Join(d.Home, "images", "late.tar")))
	d.WaitFor("edgeAgent", "running")
	select {
	case <-d.Edged.Done():
		require.FailNow(t, "edged has ended")
	default:
	}
}

func TestWatchdogWithABoundLeavesEdgedRunning(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{NoAgent: true, Config: "max_retries = 1\n"})
	d.Eventually("edged gives up", func() bool { return strings.Contains(d.EdgedLog(), "not again until edged is restarted") })
	_, status := d.Get("edgeAgent")
	require.Equal(t, 404, status)
}
