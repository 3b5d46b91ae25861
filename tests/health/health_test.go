// Package health watches real modules with real checks fail, recover and be restarted.
package health

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

func TestHealth(t *testing.T) {
	d := device.New(t, device.Options{})
	for _, test := range []struct {
		name string
		run  func(*testing.T, *device.Device)
	}{
		{"an unhealthy module is restarted", restarted},
		{"one that did not ask for it recovers by itself", recovers},
		{"a check runs as the module does", asTheModule},
		{"a check that hangs is killed with its children", hangs},
		{"a check that prints for ever, or is not there", prints},
		{"the image's own check", ofTheImage},
		{"checks go on over a crash of edged and an outage of containerd", outages},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(t, d.For(t)) }) {
			return
		}
	}
}

// checked is a probe module with a health check every 200 ms.
func checked(d *device.Device, name, policy string, check map[string]any) wire.ModuleSpec {
	return device.WithOptions(d.Spec(name), func(top, host map[string]any) {
		health := map[string]any{"Interval": 200 * time.Millisecond, "Timeout": 5 * time.Second, "Retries": 2}
		for k, v := range check {
			health[k] = v
		}
		top["Healthcheck"] = health
		top["StopTimeout"] = 2
		host["RestartPolicy"] = map[string]any{"Name": policy}
	})
}

func shell(command string) map[string]any {
	return map[string]any{"Test": []string{"CMD-SHELL", "export PATH=/bin; " + command}}
}

func description(d *device.Device, name string) string {
	m, _ := d.Get(name)
	return m.Status.RuntimeStatus.Description
}

func awaitDescription(d *device.Device, name, part string) {
	d.Eventually(name+" is "+part, func() bool { return strings.Contains(description(d, name), part) })
}

func deleteModule(t *testing.T, d *device.Device, name string) {
	t.Helper()
	a := d.Agent().Manage("DELETE", "/modules/"+name, "")
	require.Equal(t, http.StatusNoContent, a.Status, a.Body)
}

// processes are the command lines of all processes in a module.
func processes(d *device.Device, name string) string {
	id := d.Containers(name + "-")[0]
	return d.Ctr("tasks", "exec", "--exec-id", rand.Text(), id, "/bin/busybox", "ps", "-o", "pid,stat,args")
}

func restarted(t *testing.T, d *device.Device) {
	spec := checked(d, "pump", "on-unhealthy", shell("test -f /probe/ok"))
	ok := filepath.Join(d.ProbeDir("pump"), "ok")
	require.NoError(t, os.WriteFile(ok, nil, 0o600))
	d.CreateAndStart(spec)
	require.Contains(t, description(d, "pump"), "running (")
	awaitDescription(d, "pump", "running (healthy)")
	out, err := exec.Command(filepath.Join(device.Repository(), "bin", "edgectl"), "--host", d.Management(), "list").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Regexp(t, `(?m)^pump +running +Up .* \(healthy\)`, string(out))
	first, _ := d.Get("pump")
	require.NoError(t, os.Remove(ok))
	d.Eventually("it was restarted", func() bool {
		m, _ := d.Get("pump")
		return m.Status.RuntimeStatus.Status == "running" && m.Status.StartTime != first.Status.StartTime
	})
	require.Contains(t, d.EdgedLog(), "the module is (unhealthy: the check ended with exit code 1)")
	require.NoError(t, os.WriteFile(ok, nil, 0o600))
	awaitDescription(d, "pump", "running (healthy)")
	m, _ := d.Get("pump")
	require.Equal(t, "0", m.Status.ExitStatus.StatusCode, "it was stopped by its stop signal")
	metrics := d.Host("GET", "/metrics", "").Body
	require.Regexp(t, `(?m)^edged_module_restarts\{module="pump"\} [1-9]`, metrics)
	require.Contains(t, metrics, `edged_module_health{module="pump",status="healthy"} 1`)
	require.Contains(t, metrics, `edged_module_health{module="pump",status="unhealthy"} 0`)
	deleteModule(t, d, "pump")
}

func recovers(t *testing.T, d *device.Device) {
	d.CreateAndStart(checked(d, "calm", "always", shell("echo not $((1+2)); test -f /probe/ok")))
	awaitDescription(d, "calm", "running (unhealthy: the check ended with exit code 1): not 3")
	d.CreateAndStart(d.Spec("curious"))
	other := d.Probe("curious").Call(device.Call{Socket: device.WorkloadInside, Method: "GET", Path: "/modules?" + device.Version})
	require.Contains(t, other.Body, "running (unhealthy: the check ended with exit code 1)")
	require.NotContains(t, other.Body, "not 3", "what a check prints may be a secret")
	deleteModule(t, d, "curious")
	m, _ := d.Get("calm")
	started := m.Status.StartTime
	require.NoError(t, os.WriteFile(filepath.Join(d.ProbeDir("calm"), "ok"), nil, 0o600))
	awaitDescription(d, "calm", "running (healthy)")
	m, _ = d.Get("calm")
	require.Equal(t, started, m.Status.StartTime)
	deleteModule(t, d, "calm")
}

func asTheModule(t *testing.T, d *device.Device) {
	spec := device.WithOptions(checked(d, "who", "no", shell("id > /probe/said; pwd >> /probe/said; env >> /probe/said; cat /proc/self/status >> /probe/said")), func(top, host map[string]any) {
		top["User"] = "probe"
		top["WorkingDir"] = "/tmp"
		top["Env"] = []string{"OWN=value"}
		host["CapDrop"] = []string{"ALL"}
	})
	d.CreateAndStart(spec)
	awaitDescription(d, "who", "running (healthy)")
	b, err := os.ReadFile(filepath.Join(d.ProbeDir("who"), "said"))
	require.NoError(t, err)
	for _, want := range []string{"uid=1000(probe) gid=1000(probe) groups=1000(probe),1234(extra)", "\n/tmp\n", "OWN=value", "FROM_IMAGE=yes", "IOTEDGE_MODULEID=who", "CapBnd:\t0000000000000000", "Seccomp:\t2"} {
		require.Contains(t, string(b), want)
	}
	deleteModule(t, d, "who")
}

func hangs(t *testing.T, d *device.Device) {
	check := shell("sleep 1000 & sleep 1001 & sleep 1002")
	check["Timeout"], check["Retries"] = 300*time.Millisecond, 1
	d.CreateAndStart(checked(d, "slow", "no", check))
	awaitDescription(d, "slow", "unhealthy: the check took longer than 300ms")
	// Between two checks nothing of them is there; the one that is being made has its four.
	d.Eventually("no check is left behind", func() bool { return strings.Count(processes(d, "slow"), "sleep 100") == 0 })
	time.Sleep(3 * time.Second) // many checks later
	ps := processes(d, "slow")
	require.LessOrEqual(t, strings.Count(ps, "sleep 100"), 4, ps)
	began := time.Now()
	d.Post("slow", "stop")
	require.Less(t, time.Since(began), 2*time.Second, "a check does not delay a stop")
	deleteModule(t, d, "slow")
	entries, err := os.ReadDir(filepath.Join(d.Run, "probes"))
	require.NoError(t, err)
	require.Empty(t, entries)
}

func prints(t *testing.T, d *device.Device) {
	check := shell("i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; i=$((i+1)); done; exit 3")
	check["Retries"] = 1
	d.CreateAndStart(checked(d, "loud", "no", check))
	awaitDescription(d, "loud", "unhealthy: the check ended with exit code 3): 0123456789")
	require.Less(t, len(description(d, "loud")), 300)
	deleteModule(t, d, "loud")

	d.CreateAndStart(checked(d, "none", "no", map[string]any{"Test": []string{"CMD", "/no/such/check"}, "Retries": 1}))
	awaitDescription(d, "none", "unhealthy: the check cannot be run")
	require.Contains(t, description(d, "none"), "/no/such/check")
	deleteModule(t, d, "none")

	daemon := shell("sleep 1000 & exit 0") // what a check leaves behind on purpose is the module's own affair
	daemon["Interval"] = time.Second
	d.CreateAndStart(checked(d, "leaves", "no", daemon))
	awaitDescription(d, "leaves", "running (healthy)")
	deleteModule(t, d, "leaves")
}

func ofTheImage(t *testing.T, d *device.Device) {
	image := device.ProbeImage(t, "edged.local/checked:1")
	image.Healthcheck = json.RawMessage(`{"Test":["CMD","/bin/busybox","true"],"Interval":200000000}`)
	file := filepath.Join(d.Root, "checked.tar")
	f, err := os.Create(file)
	require.NoError(t, err)
	require.NoError(t, archive.Write(f, image))
	require.NoError(t, f.Close())
	d.Ctr("images", "import", file)
	spec := d.Spec("imaged")
	spec.Config.Settings.Image = "edged.local/checked:1"
	d.CreateAndStart(spec)
	awaitDescription(d, "imaged", "running (healthy)")
	none := device.WithOptions(spec, func(top, _ map[string]any) { top["Healthcheck"] = map[string]any{"Test": []string{"NONE"}} })
	a := d.Agent().Manage("PUT", "/modules/imaged?start=true", d.Body(none))
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.Equal(t, "running", description(d, "imaged"))
	deleteModule(t, d, "imaged")
	bad := device.WithOptions(spec, func(top, _ map[string]any) { top["Healthcheck"] = map[string]any{"Test": []string{"curl"}} })
	a = d.Agent().Manage("POST", "/modules", d.Body(bad))
	require.Equal(t, http.StatusBadRequest, a.Status)
	require.Contains(t, a.Message(), "createOptions.Healthcheck.Test")
}

func outages(t *testing.T, d *device.Device) {
	// Each check takes so long that the crash falls into one.
	d.CreateAndStart(checked(d, "long", "on-unhealthy", shell("sleep 0.4; test -f /probe/ok")))
	ok := filepath.Join(d.ProbeDir("long"), "ok")
	require.NoError(t, os.WriteFile(ok, nil, 0o600))
	awaitDescription(d, "long", "running (healthy)")
	m, _ := d.Get("long")
	started := m.Status.StartTime
	d.Eventually("a check is being made", func() bool { return strings.Contains(processes(d, "long"), "sleep 0.4") })
	d.Edged.Signal(syscall.SIGKILL)
	d.StartEdged()
	awaitDescription(d, "long", "running (healthy)")

	d.Containerd.Signal(syscall.SIGKILL)
	time.Sleep(3 * time.Second) // many checks long
	require.Equal(t, "running (healthy)", description(d, "long"), "who cannot ask knows nothing")
	d.StartContainerd()
	require.NoError(t, os.Remove(ok))
	d.Eventually("it is checked again, and restarted", func() bool {
		m, _ := d.Get("long")
		return m.Status.RuntimeStatus.Status == "running" && m.Status.StartTime != started
	})
	deleteModule(t, d, "long")
}
