package identity

import (
	"net/http"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/tests/device"
)

func TestContainersAreTheModulesTheyWereMadeFor(t *testing.T) {
	r := newRig(t)
	r.module(t, "sensor", func(host map[string]any) { host["NetworkMode"] = "host" })
	r.module(t, "meter", nil)
	for _, name := range []string{"sensor", "meter"} {
		p := r.puppet(t, name)
		sockets := map[string][]string{r.Management(): {device.ManagementInside}, r.Workload(): {device.WorkloadInside}}
		if kernelProof == byPIDFD { // the fallback knows modules on their own sockets alone
			for shared := range sockets {
				sockets[shared] = append(sockets[shared], r.share(t, name, shared))
			}
		}
		for _, socket := range sockets[r.Management()] {
			p.dial(t, "c", socket)
			require.Equal(t, http.StatusNoContent, p.ask(t, "c", harmless).Status)
			e := r.audited(t)
			require.Equal(t, name, e.CallerModule)
			require.Equal(t, module.ContainerID(name, 1), e.CallerContainer)
			refused := p.ask(t, "c", r.planted("planted"))
			require.Equal(t, http.StatusForbidden, refused.Status)
			require.JSONEq(t, `{"message":"forbidden"}`, refused.Text)
			require.False(t, refused.Closed, "a known caller keeps its connection")
		}
		for _, socket := range sockets[r.Workload()] {
			p.dial(t, "c", socket)
			require.Equal(t, http.StatusOK, p.ask(t, "c", list).Status)
		}
	}
	require.Equal(t, http.StatusForbidden, r.Host(http.MethodPost, "/modules?"+device.Version, r.Body(r.CommandSpec("planted", "sleep"))).Status)
	require.Equal(t, "not_agent", r.audited(t).Reason, "host root is known, and not edgeAgent")
	require.False(t, r.exists("planted"))
	agent := r.puppet(t, "edgeAgent")
	agent.dial(t, "c", device.ManagementInside)
	require.Equal(t, http.StatusCreated, agent.ask(t, "c", r.planted("planted")).Status)
	require.Equal(t, "edgeAgent", r.audited(t).CallerModule)
	for name := range r.metrics(t) {
		require.NotContains(t, name, "edged_peer_rejected_total", "nobody here is unknown")
	}
}

// Health checks and people come by exec: what they start is the module's.
func TestExecutedProcessIsItsModules(t *testing.T) {
	r := newRig(t)
	r.module(t, "sensor", nil)
	for name, expected := range map[string]int{"sensor": http.StatusForbidden, "edgeAgent": http.StatusCreated} {
		id := module.ContainerID(name, 1)
		p := r.puppetBy(t, name, func(socket string) {
			out, err := exec.Command("ctr", "-a", r.Address(), "-n", r.Namespace, "tasks", "exec", "--detach", "--exec-id", "x", id, "/bin/probe", "puppet", socket).CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
		p.dial(t, "c", device.ManagementInside)
		require.Equal(t, expected, p.ask(t, "c", r.planted("planted")).Status)
		e := r.audited(t)
		require.Equal(t, name, e.CallerModule)
		require.Equal(t, id, e.CallerContainer)
	}
}
