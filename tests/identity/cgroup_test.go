package identity

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/tests/device"
)

// A privileged module makes groups below its own that are called like edgeAgent's place, and moves there.
func TestForgedNestedCgroup(t *testing.T) {
	r := newRig(t)
	r.module(t, "attacker", privileged)
	agent := r.puppet(t, "edgeAgent")
	forged := cgroup(t, agent.pid, module.ContainerID("edgeAgent", 1))
	p := r.puppet(t, "attacker")
	entered := p.do(t, command{Op: "enter", Path: forged}).Text
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/cgroup")
	require.NoError(t, err)
	require.Contains(t, string(b), cgroup(t, r.puppet(t, "attacker").pid, module.ContainerID("attacker", 1))+forged+"\n", "moved in %s", entered)
	for _, tc := range []struct {
		weaknesses string
		status     int
		caller     string
		reason     string
	}{
		{real, http.StatusForbidden, "attacker", "not_agent"},
		{"SuffixMatch", http.StatusForbidden, "", "netns_mismatch"},
		{"SuffixMatch,NoNetNS", http.StatusCreated, "edgeAgent", ""},
	} {
		t.Run(against(tc.weaknesses), func(t *testing.T) {
			r.daemon(t, tc.weaknesses)
			socket := r.share(t, "attacker", r.Management())
			if tc.weaknesses == real {
				socket = onKernel(socket, device.ManagementInside) // the fallback knows modules nowhere else
			}
			p.dial(t, "c", socket)
			require.Equal(t, tc.status, p.ask(t, "c", r.planted("planted")).Status)
			require.Equal(t, tc.caller, r.audited(t).CallerModule)
			require.Equal(t, tc.reason, r.audited(t).Reason)
			require.Equal(t, tc.status == http.StatusCreated, r.exists("planted"))
		})
	}
}

// A container that others run on the same containerd, as root, with the id of edgeAgent's and in its network namespace, is nobody; also when its place is named
// so that the end of its path is that of edgeAgent's.
func TestContainerOfAForeignNamespace(t *testing.T) {
	r := newRig(t)
	agent := r.puppet(t, "edgeAgent")
	id := module.ContainerID("edgeAgent", 1)
	namespace := r.foreign()
	r.ctr(t, namespace, "images", "import", filepath.Join(r.Home, "images", "probe.tar"))
	net := fmt.Sprintf("network:/proc/%d/ns/net", agent.pid)
	for i, tc := range []struct {
		place      string
		weaknesses []string
	}{
		{"/" + namespace + "/" + id, []string{real}},
		{"/" + namespace + cgroup(t, agent.pid, id), []string{real, "SuffixMatch"}},
	} {
		name := "foreign" + strconv.Itoa(i)
		r.Spec(name) // makes its folder
		r.ctr(t, namespace, "run", "--detach", "--null-io", "--with-ns", net, "--cgroup", tc.place,
			"--mount", "type=bind,src="+r.ProbeDir(name)+",dst=/probe,options=rbind:rw", device.Image, id)
		p := r.puppet(t, name)
		require.Equal(t, tc.place, cgroup(t, p.pid, id))
		for _, weaknesses := range tc.weaknesses {
			t.Run(name+" "+against(weaknesses), func(t *testing.T) {
				r.daemon(t, weaknesses)
				p.dial(t, "c", r.share(t, name, r.Management()))
				if weaknesses != real {
					require.Equal(t, http.StatusCreated, p.ask(t, "c", r.planted("planted")).Status)
					require.Equal(t, "edgeAgent", r.audited(t).CallerModule)
					return
				}
				refused := p.ask(t, "c", list)
				require.Equal(t, http.StatusForbidden, refused.Status)
				require.True(t, refused.Closed, "an unknown caller loses its connection")
				require.Equal(t, "foreign_container", r.audited(t).Reason)
				require.Equal(t, "1", r.rejected(t, "management", "foreign_container"))
			})
		}
		r.removeForeign(namespace, id)
	}
}

func (r *rig) ctr(t *testing.T, namespace string, args ...string) {
	t.Helper()
	out, err := exec.Command("ctr", append([]string{"-a", r.Address(), "-n", namespace}, args...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	if args[0] == "run" {
		t.Cleanup(func() { r.removeForeign(namespace, args[len(args)-1]) })
	}
}

// removeForeign removes a container, if it is there; the device removes its own only.
func (r *rig) removeForeign(namespace, id string) {
	for _, args := range [][]string{{"tasks", "rm", "-f", id}, {"containers", "rm", id}} {
		_ = exec.Command("ctr", append([]string{"-a", r.Address(), "-n", namespace}, args...)...).Run()
	}
	_ = os.Remove(filepath.Join("/run/containerd/runc", namespace))
}
