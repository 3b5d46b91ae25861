package spine

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

// crashes says during which operation each named point is passed. A point that is
// in the source and not here, or here and never hit, fails the test. Those of packages,
// "upload...", and of bundles are in lists of their own in tests/uploads and tests/bundles.
var crashes = map[string]string{
	"createAfterIntent": "create", "createAfterContainer": "create", "createAfterCommit": "create",
	"engineAfterLease": "create", "engineAfterSnapshot": "create",
	"startAfterTask": "start", "startAfterRecord": "start", "startAfterRun": "start",
	"stopAfterSignal": "stop", "stopBeforeTask": "stop",
	"exitBeforeSave": "exit", "exitAfterSave": "exit",
	"updateAfterIntent": "update", "updateAfterNext": "update", "updateAfterStop": "update",
	"updateAfterLaunch": "update", "updateAfterCommit": "update",
	"keystoreAfterRoot": "first start", "keystoreAfterSigner": "first start", "caBeforeRemembered": "first start", "caAfterRemembered": "first start",
	"deleteAfterIntent": "delete", "deleteAfterContainer": "delete", "deleteBeforeRow": "delete", "engineAfterRecord": "delete",
	"volumeAfterCopy": "create", "volumeAfterRename": "create", "volumeAfterGone": "delete",
	"pullBeforeRelease": "pull", "imageAfterRemove": "prune",
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

// crashAtFirstStart crashes edged while it makes the device's keys: there are no halves of them, and no second ones.
func crashAtFirstStart(t *testing.T, d *device.Device, point string) {
	d.Edged.Signal(syscall.SIGTERM)
	edged := func(env []string, args ...string) (string, error) {
		cmd := exec.Command(filepath.Join(device.Repository(), "bin", "edged-failpoints"), append([]string{"--config", filepath.Join(d.Root, "config.toml")}, args...)...)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := edged(nil, "--new-keys")
	require.NoError(t, err, out)
	out, err = edged([]string{"GOFAIL_FAILPOINTS=" + point + "=panic"})
	require.Error(t, err)
	require.Contains(t, out, "failpoint panic", "the point was hit")
	keys := func() string {
		b, err := os.ReadFile(filepath.Join(d.Home, "keys", "master"))
		require.NoError(t, err)
		return string(b)
	}
	made := keys()
	d.StartEdged()
	require.Equal(t, made, keys(), "what was made is used")
	ca := d.Host("GET", "/device/ca?"+device.Version, "")
	require.Equal(t, http.StatusOK, ca.Status)
	require.Equal(t, http.StatusOK, d.Host("POST", "/device/ca/renew?"+device.Version, "").Status)
	d.WaitFor("edgeAgent", "running")
}

func crashAt(t *testing.T, d *device.Device, control, point, operation string) {
	if operation == "first start" {
		crashAtFirstStart(t, d, point)
		return
	}
	before := device.WithOptions(d.Spec("victim"), func(top, host map[string]any) {
		top["Volumes"] = map[string]any{"/bin": map[string]any{}}
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
	pulled := ""
	if operation == "pull" || operation == "prune" {
		r := device.NewRegistryWith(t, device.RegistryOptions{Open: true, Inside: d})
		pulled = r.Push(d, "victim:1", 1)
		if operation == "prune" {
			pullImage(d, pulled)
		}
	}
	agent := d.Agent()
	logged := len(d.EdgedLog())
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
		case "pull":
			agent.TryManage("POST", "/images/pull", `{"image":"`+pulled+`"}`)
		case "prune":
			agent.TryManage("POST", "/images/prune", `{"all":true}`)
		default:
			agent.TryManage("POST", "/modules/victim/"+operation, "")
		}
	}()
	awaitCrash(d, logged)
	require.NotZero(t, d.Edged.State().ExitCode(), "it crashed, so the point was hit")
	d.StartEdged()
	d.WaitFor("edgeAgent", "running")
	why := ""
	t.Cleanup(func() {
		if why != "" {
			t.Log("left behind: " + why)
		}
	})
	d.Eventually("what was cut short is undone or finished", func() bool {
		why = unsettled(d)
		return why == ""
	})

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
	case "pull", "prune":
		pullImage(d, pulled) // again, and all of it goes with the next prune
		require.NotContains(t, d.Ctr("leases", "ls"), "edged-pull-", "the lease was taken up and given back")
		a := d.Agent().Manage("POST", "/images/prune", `{"all":true}`)
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		require.NotContains(t, d.Ctr("images", "ls", "-q"), "victim")
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
	require.Empty(t, unsettled(d), "nothing is left behind")
	d.Eventually("no network is left behind", func() bool { return len(d.NetworkTraces()) == 0 })
}

// awaitCrash waits for edged's end at the point. In a goroutine of the HTTP server a panic ends the request alone:
// then edged is killed.
func awaitCrash(d *device.Device, logged int) {
	d.Eventually("the point was hit", func() bool {
		select {
		case <-d.Edged.Done():
			return true
		default:
		}
		if strings.Contains(d.EdgedLog()[logged:], "http: panic serving") {
			d.Edged.Signal(syscall.SIGKILL)
		}
		return false
	})
}

func pullImage(d *device.Device, ref string) {
	a := d.Host("POST", "/images/pull?"+device.Version, `{"image":"`+ref+`"}`)
	d.Eventually("it is pulled: "+a.Body, func() bool { return strings.Contains(a.Body, `"status":"pulled"`) })
}

// unsettled says in what containers, snapshots, volumes and leases are not those of the modules that there are.
func unsettled(d *device.Device) string {
	var list wire.ModuleList
	if a := d.Host("GET", "/modules?"+device.Version, ""); json.Unmarshal([]byte(a.Body), &list) != nil {
		return "no list of modules: " + a.Body + a.Error
	}
	active := 0
	snapshots := d.Ctr("snapshots", "ls")
	for line := range strings.Lines(snapshots) {
		if strings.Contains(line, "Active") {
			active++
		}
	}
	entries, _ := os.ReadDir(filepath.Join(d.Home, "containers"))
	volumes, _ := os.ReadDir(filepath.Join(d.Home, "volumes"))
	for _, v := range volumes {
		if _, err := os.Stat(filepath.Join(d.Home, "volumes", v.Name(), "_data", "probe")); err != nil {
			return "half of a volume, or what was to be one: " + v.Name()
		}
	}
	containers, leases := d.Containers(""), d.Ctr("leases", "ls")
	if len(containers) == len(list.Modules) && active == len(list.Modules) && len(entries) == len(list.Modules) &&
		len(volumes) == len(list.Modules)-1 && // edgeAgent has none
		!strings.Contains(leases, "edged-op-") {
		return ""
	}
	return fmt.Sprintf("%d modules, containers %v, their folders %v, volumes %v, snapshots\n%s\nleases\n%s", len(list.Modules), containers, entries, volumes, snapshots, leases)
}

// failpoints reads their names from the source.
func failpoints(t *testing.T) []string {
	out, err := exec.Command("grep", "-rhoE", "--include=*.go", `gofail: var \w+`, filepath.Join(device.Repository(), "pkg")).Output()
	require.NoError(t, err)
	var names []string
	for _, m := range regexp.MustCompile(`var (\w+)`).FindAllStringSubmatch(string(out), -1) {
		if !strings.HasPrefix(m[1], "upload") && !strings.HasPrefix(m[1], "bundle") {
			names = append(names, m[1])
		}
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
