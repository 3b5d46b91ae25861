package spine

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

func TestRestartOfEdgedLeavesModulesRunning(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.Spec("steady"))
	d.Probe("steady")
	d.Create(d.CommandSpec("idle", "sleep"))
	before, _ := d.Get("steady")
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		d.Edged.Signal(sig)
		d.StartEdged()
		after, _ := d.Get("steady")
		require.Equal(t, before, after, "nothing about a running module changed over %s", sig)
		a := d.Probe("steady").Call(device.Call{Socket: device.WorkloadInside, Method: "GET", Path: "/modules?" + device.Version})
		require.Equal(t, http.StatusOK, a.Status, a.Body+a.Error)
		require.Equal(t, http.StatusOK, d.Agent().Manage("GET", "/modules/idle", "").Status)
	}
	require.NotContains(t, d.EdgedLog(), "level=error")
}

func TestExitWhileEdgedIsAwayIsSeen(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.Spec("gone"))
	d.CreateAndStart(device.WithOptions(d.Spec("back"), func(_, host map[string]any) {
		host["RestartPolicy"] = map[string]any{"Name": "always"}
	}))
	gone, back := d.Probe("gone"), d.Probe("back")
	d.Edged.Signal(syscall.SIGKILL)
	gone.Try("/exit?code=42")
	back.Try("/exit?code=1")
	d.StartEdged()
	m := d.WaitFor("gone", "failed")
	require.Equal(t, "42", m.Status.ExitStatus.StatusCode)
	d.WaitFor("back", "running")
}

func TestOutOfMemoryWhileEdgedIsAwayIsSeen(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(device.WithOptions(d.Spec("greedy"), func(_, host map[string]any) { host["Memory"] = 32 << 20 }))
	p := d.Probe("greedy")
	d.Edged.Signal(syscall.SIGTERM)
	p.Try("/allocate?mib=200")
	d.StartEdged()
	m := d.WaitFor("greedy", "failed")
	require.Equal(t, "137", m.Status.ExitStatus.StatusCode)
	require.Contains(t, m.Status.RuntimeStatus.Description, "out of memory")
}

func TestContainerdMayDieAndComeBack(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.Spec("steady"))
	steady := d.Probe("steady")
	d.CreateAndStart(device.WithOptions(d.Spec("unlucky"), func(_, host map[string]any) {
		host["RestartPolicy"] = map[string]any{"Name": "always"}
	}))
	unlucky := d.Probe("unlucky")
	d.Containerd.Signal(syscall.SIGKILL)

	list := d.Host("GET", "/modules?"+device.Version, "")
	require.Equal(t, http.StatusOK, list.Status, "a list is served from memory")
	a := d.Agent().Manage("POST", "/modules", d.Body(d.CommandSpec("new", "sleep")))
	require.Equal(t, http.StatusServiceUnavailable, a.Status, "identity does not depend on containerd, work does: "+a.Body)
	own := steady.Call(device.Call{Socket: device.WorkloadInside, Method: "GET", Path: "/modules?" + device.Version})
	require.Equal(t, http.StatusOK, own.Status)
	unlucky.Try("/exit?code=1")

	d.StartContainerd()
	d.Eventually("containerd is used again", func() bool {
		a := d.Agent().Manage("POST", "/modules", d.Body(d.CommandSpec("new", "sleep")))
		return a.Status == http.StatusCreated
	})
	d.Post("new", "start")
	d.Eventually("the one that died meanwhile runs again", func() bool {
		m, _ := d.Get("unlucky")
		return m.Status.RuntimeStatus.Status == "running" && m.Status.ExitStatus != nil
	})
	m, _ := d.Get("steady")
	require.Equal(t, "running", m.Status.RuntimeStatus.Status)
	require.Nil(t, m.Status.ExitStatus, "it never ended")
	d.Post("steady", "stop")
}

func TestRebootBringsBackWhatRanOffline(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.Spec("ran"))
	d.Probe("ran")
	d.CreateAndStart(d.CommandSpec("ended", "exit", "0"))
	d.WaitFor("ended", "stopped")
	d.CreateAndStart(device.WithOptions(d.CommandSpec("stopped", "sleep"), func(_, host map[string]any) {
		host["RestartPolicy"] = map[string]any{"Name": "always"}
	}))
	d.Post("stopped", "stop")
	d.Reboot()
	d.WaitFor("edgeAgent", "running")
	d.WaitFor("ran", "running")
	a := d.Probe("ran").Call(device.Call{Socket: device.WorkloadInside, Method: "GET", Path: "/modules?" + device.Version})
	require.Equal(t, http.StatusOK, a.Status, a.Body+a.Error)
	require.Equal(t, http.StatusCreated, d.Agent().Manage("POST", "/modules", d.Body(d.CommandSpec("more", "sleep"))).Status)
	for _, name := range []string{"ended", "stopped"} {
		m, _ := d.Get(name)
		require.NotEqual(t, "running", m.Status.RuntimeStatus.Status, name)
	}
	require.Contains(t, d.Logs("ran", ""), "probe is up", "logs outlive a reboot")
}

func TestModulesAreMadeAgainWhenContainerdLostEverything(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(device.WithOptions(d.Spec("phoenix"), func(_, host map[string]any) {
		host["RestartPolicy"] = map[string]any{"Name": "always"}
	}))
	d.Probe("phoenix")
	d.Edged.Signal(syscall.SIGKILL)
	d.Containerd.Signal(syscall.SIGKILL)
	d.KillShims()
	d.Wipe()
	d.StartContainerd()
	d.StartEdged()
	d.WaitFor("edgeAgent", "running")
	d.WaitFor("phoenix", "running")
}

func TestUpgradeRecreatesNothing(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.Spec("old"))
	d.Probe("old")
	ids := d.Containers("")
	d.Edged.Signal(syscall.SIGTERM)
	d.StartEdged()
	d.Agent()
	require.ElementsMatch(t, ids, d.Containers(""))
}

func TestLogsLoseNoLineOverKills(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.CommandSpec("writer", "ticker", "1ms"))
	time.Sleep(200 * time.Millisecond) // let it write
	d.Edged.Signal(syscall.SIGKILL)
	time.Sleep(200 * time.Millisecond)
	d.Containerd.Signal(syscall.SIGKILL)
	time.Sleep(200 * time.Millisecond)
	d.StartContainerd()
	d.StartEdged()
	d.Eventually("the module is stopped", func() bool {
		return d.Host("POST", "/modules/writer/stop?"+device.Version, "").Status == http.StatusNoContent
	})
	lines := strings.Split(strings.TrimSpace(d.Logs("writer", "")), "\n")
	require.Greater(t, len(lines), 300)
	for i, line := range lines {
		require.Equal(t, strconv.Itoa(i), strings.Fields(line)[1], "line %d", i)
	}
}

func TestLogsOverGenerationsAndFollow(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.Spec("talker"))
	d.Probe("talker").Do("POST", "/print?n=3&text=one", "")
	d.Probe("talker").Do("POST", "/print?n=1&text=err&to=stderr", "")
	a := d.Agent().Manage("PUT", "/modules/talker?start=true", d.Body(d.Spec("talker")))
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	res, err := device.UnixClient(d.Management()).Get("http://x/modules/talker/logs?follow=true&" + device.Version)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
	d.Probe("talker").Do("POST", "/print?n=3&text=two", "")
	d.Post("talker", "stop")
	body, err := readAll(res.Body)
	require.NoError(t, err, "a follow ends when the module does")
	for _, want := range []string{"line 0 one", "line 2 one", "line 0 err", "line 2 two", "probe was asked to stop"} {
		require.Contains(t, body, want)
	}
	require.Equal(t, "probe was asked to stop\n", d.Logs("talker", "&tail=1"))
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\S+Z probe was asked to stop\n$`, d.Logs("talker", "&tail=1&timestamps=true"))
	require.Empty(t, d.Logs("talker", "&until=1h"))
	require.Equal(t, body, d.Logs("talker", "&since=1h"))
	frames := d.HostWith("GET", "/modules/talker/logs?tail=1&"+device.Version, map[string]string{"Accept": "application/vnd.docker.multiplexed-stream"})
	require.Equal(t, "\x01\x00\x00\x00\x00\x00\x00\x18probe was asked to stop\n", frames.Body)
}

func TestAFullDiskStillLetsModulesStopAndGo(t *testing.T) {
	home := smallDisk(t, 32)
	d := device.New(t, device.Options{Home: home})
	d.CreateAndStart(d.CommandSpec("one", "sleep"))
	d.CreateAndStart(d.CommandSpec("two", "sleep"))
	fill(t, filepath.Join(home, "filler"))
	d.Post("one", "stop")
	a := d.Agent().Manage("DELETE", "/modules/one", "")
	require.Equal(t, http.StatusNoContent, a.Status, a.Body)
	a = d.Agent().Manage("DELETE", "/modules/two", "")
	require.Equal(t, http.StatusNoContent, a.Status, a.Body)
	require.NoFileExists(t, filepath.Join(home, "ballast"))
	require.NoError(t, os.Remove(filepath.Join(home, "filler")))
	require.Equal(t, http.StatusCreated, d.Agent().Manage("POST", "/modules", d.Body(d.CommandSpec("three", "sleep"))).Status)
}

func TestAModuleWhoseLoggerDiedIsRestarted(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.Spec("mute"))
	d.Probe("mute")
	before, _ := d.Get("mute")
	d.KillLogger("mute")
	d.Eventually("it runs again", func() bool {
		m, _ := d.Get("mute")
		return m.Status.RuntimeStatus.Status == "running" && m.Status.StartTime != before.Status.StartTime
	})
	d.Probe("mute").Do("POST", "/print?n=1&text=heard", "")
	d.Eventually("it is heard again", func() bool { return strings.Contains(d.Logs("mute", ""), "heard") })
	require.Contains(t, d.EdgedLog(), "logger died")
}

func TestAFollowedLogDoesNotDelayAStop(t *testing.T) {
	d := device.New(t, device.Options{})
	res, err := device.UnixClient(d.Management()).Get("http://x/modules/edgeAgent/logs?follow=true&" + device.Version)
	require.NoError(t, err)
	defer res.Body.Close()
	began := time.Now()
	d.Edged.Signal(syscall.SIGTERM)
	require.Less(t, time.Since(began), 10*time.Second)
	require.Zero(t, d.Edged.State().ExitCode())
	d.StartEdged()
}
