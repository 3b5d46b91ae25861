package spine

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

// crashes says during which operation each named point is passed. A point that is
// in the source and not here, or here and never hit, fails the test.
var crashes = map[string]string{
	"createAfterIntent": "create", "createAfterContainer": "create", "createAfterCommit": "create",
	"engineAfterLease": "create", "engineAfterSnapshot": "create",
	"startAfterTask": "start", "startAfterRecord": "start", "startAfterRun": "start",
	"stopAfterSignal": "stop", "stopBeforeTask": "stop",
	"exitBeforeSave": "exit", "exitAfterSave": "exit",
	"updateAfterIntent": "update", "updateAfterNext": "update", "updateAfterStop": "update",
	"updateAfterLaunch": "update", "updateAfterCommit": "update",
	"deleteAfterIntent": "delete", "deleteAfterContainer": "delete", "deleteBeforeRow": "delete", "engineAfterRecord": "delete",
	"networkAfterState": "create", "networkAfterNamespace": "create", "networkAfterAttach": "create",
	"networkBeforeTask": "start", "networkAfterDetach": "delete",
}

func TestACrashAtAnyPointLosesNothing(t *testing.T) {
	require.ElementsMatch(t, failpoints(t), keys(crashes), "the points in the source are those that are tested")
	const control = "127.0.0.1:7001" // in a network of its own
	d := device.New(t, device.Options{
		Network: true,
		Binary:  filepath.Join(device.Repository(), "bin", "edged-failpoints"),
		Env:     []string{"GOFAIL_HTTP=" + control},
	})
	for _, point := range slices.Sorted(slices.Values(keys(crashes))) {
		if !t.Run(point, func(t *testing.T) { crashAt(t, d.For(t), control, point, crashes[point]) }) {
			return // the device is not what the next point expects
		}
	}
}

func crashAt(t *testing.T, d *device.Device, control, point, operation string) {
	before := device.WithOptions(d.Spec("victim"), func(_, host map[string]any) {
		host["PortBindings"] = map[string]any{"80/tcp": []any{map[string]any{"HostPort": "8080"}}}
	})
	after := before
	after.Config.Env = []wire.EnvVar{{Key: "SPEC", Value: "after"}}
	if operation != "create" {
		d.Create(before)
	}
	if operation != "create" && operation != "start" {
		d.Post("victim", "start")
		d.Probe("victim")
	}
	agent := d.Agent()
	arm(t, d, control, point)
	go func() { // the answer never comes
		switch operation {
		case "create":
			agent.TryManage("POST", "/modules", d.Body(before))
		case "update":
			agent.TryManage("PUT", "/modules/victim?start=true", d.Body(after))
		case "delete":
			agent.TryManage("DELETE", "/modules/victim", "")
		case "exit":
			d.Probe("victim").Try("/exit?code=3")
		default:
			agent.TryManage("POST", "/modules/victim/"+operation, "")
		}
	}()
	<-d.Edged.Done()
	require.NotZero(t, d.Edged.State().ExitCode(), "it crashed, so the point was hit")
	d.StartEdged()
	d.WaitFor("edgeAgent", "running")
	d.Eventually("what was cut short is undone or finished", func() bool { return settled(d) })

	m, status := d.Get("victim")
	switch operation {
	case "create", "delete":
		require.Contains(t, []int{http.StatusOK, http.StatusNotFound}, status)
	case "stop":
		require.NotEqual(t, "running", m.Status.RuntimeStatus.Status, "the wish was written before the signal")
	case "exit":
		require.Equal(t, "failed", d.WaitFor("victim", "failed").Status.RuntimeStatus.Status)
		m, _ = d.Get("victim")
		require.Equal(t, "3", m.Status.ExitStatus.StatusCode, "the exit code is not lost")
	case "update":
		d.WaitFor("victim", "running")
		d.Probe("victim")
	}
	// Whatever became of it, the operation can be made again and the module removed.
	if status == http.StatusNotFound {
		d.Create(before)
	}
	d.Post("victim", "start")
	require.Equal(t, http.StatusOK, d.Probe("victim").Call(device.Call{
		Socket: device.WorkloadInside, Method: "GET", Path: "/modules?" + device.Version,
	}).Status, "its identity is known")
	a := d.Agent().Manage("DELETE", "/modules/victim", "")
	require.Equal(t, http.StatusNoContent, a.Status, a.Body)
	require.Len(t, d.Containers(""), 1)
	require.True(t, settled(d), "nothing is left behind")
	d.Eventually("no network is left behind", func() bool { return len(d.NetworkTraces()) == 0 })
}

// settled says that containers, snapshots and leases are those of the modules that there are.
func settled(d *device.Device) bool {
	var list wire.ModuleList
	if json.Unmarshal([]byte(d.Host("GET", "/modules?"+device.Version, "").Body), &list) != nil {
		return false
	}
	active := 0
	for line := range strings.Lines(d.Ctr("snapshots", "ls")) {
		if strings.Contains(line, "Active") {
			active++
		}
	}
	entries, _ := os.ReadDir(filepath.Join(d.Home, "containers"))
	return len(d.Containers("")) == len(list.Modules) && active == len(list.Modules) && len(entries) == len(list.Modules) &&
		!strings.Contains(d.Ctr("leases", "ls"), "edged-op-")
}

// failpoints reads their names from the source.
func failpoints(t *testing.T) []string {
	out, err := exec.Command("grep", "-rhoE", "--include=*.go", `gofail: var \w+`, filepath.Join(device.Repository(), "pkg")).Output()
	require.NoError(t, err)
	var names []string
	for _, m := range regexp.MustCompile(`var (\w+)`).FindAllStringSubmatch(string(out), -1) {
		names = append(names, m[1])
	}
	return names
}

func arm(t *testing.T, d *device.Device, control, point string) {
	req, err := http.NewRequest(http.MethodPut, "http://"+control+"/"+point, strings.NewReader("panic"))
	require.NoError(t, err)
	res, err := d.HostClient().Do(req)
	require.NoError(t, err)
	_ = res.Body.Close()
	require.Equal(t, http.StatusNoContent, res.StatusCode)
}

func keys(m map[string]string) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	return all
}
