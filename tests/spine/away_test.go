package spine

import (
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/tests/device"
)

// always is a module that its restart policy brings back.
func always(d *device.Device, name string) wire.ModuleSpec {
	return device.WithOptions(d.Spec(name), func(_, host map[string]any) {
		host["RestartPolicy"] = map[string]any{"Name": "always"}
	})
}

// runsAnew waits for a run that is not the one before, and that is known for the module's.
func runsAnew(d *device.Device, before wire.Module) {
	d.Eventually(before.Name+" runs again", func() bool {
		m, status := d.Get(before.Name)
		return status == http.StatusOK && m.Status.RuntimeStatus.Status == "running" && m.Status.StartTime != before.Status.StartTime
	})
	d.Eventually(before.Name+" is heard as itself", func() bool {
		a := d.Probe(before.Name).Call(device.Call{Socket: device.WorkloadInside, Method: "GET", Path: "/modules?" + device.Version})
		return a.Status == http.StatusOK
	})
}

func TestAModuleWhoseShimIsKilledFollowsItsPolicy(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(always(d, "back"))
	d.CreateAndStart(d.Spec("gone"))
	before, _ := d.Get("back")
	for _, name := range []string{"back", "gone"} {
		d.Probe(name)
		pids := d.Shims(containerOf(d, name))
		require.Len(t, pids, 1, name)
		require.NoError(t, syscall.Kill(pids[0], syscall.SIGKILL))
	}
	runsAnew(d, before)
	m := d.WaitFor("gone", "failed")
	require.NotNil(t, m.Status.ExitStatus)
	d.Post("gone", "start")
	d.Probe("gone")
}

func TestAllModulesOfASharedShimThatIsKilledComeBack(t *testing.T) {
	d := device.New(t, device.Options{Config: "[containerd]\nshared_shim = true\n"})
	var before []wire.Module
	for _, name := range []string{"one", "two", "three"} {
		d.CreateAndStart(always(d, name))
		d.Probe(name)
	}
	for _, name := range []string{"one", "two", "three", "edgeAgent"} {
		m, _ := d.Get(name)
		before = append(before, m)
	}
	pids := d.Shims()
	require.Len(t, pids, 1)
	require.NoError(t, syscall.Kill(pids[0], syscall.SIGKILL))
	for _, m := range before {
		runsAnew(d, m)
	}
}

func TestAContainerdThatHangsDelaysOnlyWhatNeedsIt(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.Spec("steady"))
	steady := d.Probe("steady")
	d.Create(d.CommandSpec("late", "sleep"))
	require.NoError(t, syscall.Kill(d.Containerd.PID(), syscall.SIGSTOP))
	goOn := func() { _ = syscall.Kill(d.Containerd.PID(), syscall.SIGCONT) }
	defer goOn()
	answer := make(chan int, 1)
	go func() {
		res, err := device.UnixClient(d.Management()).Post("http://localhost/modules/late/start?"+device.Version, "", nil)
		if err != nil {
			answer <- 0
			return
		}
		_ = res.Body.Close()
		answer <- res.StatusCode
	}()
	for range 3 {
		require.Equal(t, http.StatusOK, d.Host("GET", "/modules?"+device.Version, "").Status, "a list is served from memory")
		a := steady.Call(device.Call{Socket: device.WorkloadInside, Method: "GET", Path: "/modules?" + device.Version})
		require.Equal(t, http.StatusOK, a.Status, "who a module is does not depend on containerd")
	}
	select {
	case status := <-answer:
		require.Equal(t, http.StatusServiceUnavailable, status)
		answer <- status
	default:
	}
	goOn()
	require.Contains(t, []int{http.StatusNoContent, http.StatusServiceUnavailable}, <-answer)
	d.Post("late", "start")
	d.WaitFor("late", "running")
	d.WaitFor("steady", "running")
	m, _ := d.Get("steady")
	require.Nil(t, m.Status.ExitStatus, "it never ended")
}

func TestACreateThatFailsLeavesNoSnapshot(t *testing.T) {
	d := device.New(t, device.Options{})
	spec := device.WithOptions(d.CommandSpec("half", "sleep"), func(top, _ map[string]any) { top["User"] = "nobody-knows-me" })
	a := d.Agent().Manage("POST", "/modules", d.Body(spec))
	require.Equal(t, http.StatusBadRequest, a.Status, a.Body)
	require.Contains(t, a.Message(), "nobody-knows-me")
	for line := range strings.Lines(d.Ctr("snapshots", "ls")) {
		require.False(t, strings.HasPrefix(line, "half-"), line)
	}
	require.Empty(t, d.Containers("half-"))
	require.NotContains(t, d.Ctr("leases", "ls"), "half-")
	require.NoDirExists(t, filepath.Join(d.Home, "containers", module.ContainerID("half", 1)))
	d.CreateAndStart(d.CommandSpec("half", "sleep"))
}

// TestATaskThatNobodyKnowsIsEnded: a start whose answer was lost with containerd leaves one.
func TestATaskThatNobodyKnowsIsEnded(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.Spec("left"))
	d.Probe("left")
	d.Post("left", "stop")
	id := containerOf(d, "left")
	// The stop answers before the task is removed.
	d.Eventually("another's task is there", func() bool { return d.TryCtr("tasks", "start", "--detach", "--null-io", id) == nil })
	require.Contains(t, d.Ctr("tasks", "ls"), id)
	d.Containerd.Signal(syscall.SIGKILL)
	d.StartContainerd()
	d.Eventually("it is gone", func() bool { return !strings.Contains(d.Ctr("tasks", "ls"), id) })
	m, _ := d.Get("left")
	require.Equal(t, "stopped", m.Status.RuntimeStatus.Status)
	d.Post("left", "start")
	d.WaitFor("left", "running")
}
