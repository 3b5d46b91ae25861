package spine

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

func TestAgentMakesAModuleRunStopAndGo(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.Spec("sensor"))
	d.WaitFor("sensor", "running")
	p := d.Probe("sensor")

	own := p.Call(device.Call{Socket: device.WorkloadInside, Method: "GET", Path: "/modules?" + device.Version})
	require.Equal(t, http.StatusOK, own.Status, own.Body+own.Error)

	d.Post("sensor", "stop")
	m, _ := d.Get("sensor")
	require.Equal(t, "stopped", m.Status.RuntimeStatus.Status)
	require.Equal(t, "0", m.Status.ExitStatus.StatusCode)
	d.Post("sensor", "stop") // again is fine
	d.Post("sensor", "start")
	d.Post("sensor", "start")
	m = d.WaitFor("sensor", "running")
	require.Equal(t, "0", m.Status.ExitStatus.StatusCode, "the previous run's exit stays visible")
	before := m.Status.StartTime
	d.Post("sensor", "restart")
	require.NotEqual(t, before, d.WaitFor("sensor", "running").Status.StartTime)

	a := d.Agent().Manage(http.MethodDelete, "/modules/sensor", "")
	require.Equal(t, http.StatusNoContent, a.Status, a.Body)
	_, status := d.Get("sensor")
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, http.StatusNotFound, d.Agent().Manage(http.MethodDelete, "/modules/sensor", "").Status)
}

func TestOnlyTheAgentMayChangeModules(t *testing.T) {
	d := device.New(t, device.Options{})
	spec := d.Spec("manager")
	spec.Config.Settings.Management = true
	d.CreateAndStart(spec)
	body := d.Body(d.CommandSpec("intruder", "sleep"))
	manager := d.Probe("manager")
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/modules", body},
		{"PUT", "/modules/manager", body},
		{"DELETE", "/modules/manager", ""},
		{"POST", "/modules/manager/prepareupdate", body},
	} {
		for who, a := range map[string]device.Answer{
			"host root": d.Host(c.method, c.path+"?"+device.Version, c.body),
			"a module":  manager.Manage(c.method, c.path, c.body),
		} {
			require.Equal(t, http.StatusForbidden, a.Status, "%s %s %s", who, c.method, c.path)
			require.JSONEq(t, `{"message":"forbidden"}`, a.Body)
		}
	}
	require.Equal(t, http.StatusForbidden, manager.Manage("POST", "/modules/edgeAgent/stop", "").Status)
	require.Equal(t, http.StatusForbidden, manager.Manage("POST", "/modules/$edgeAgent/restart", "").Status)
	require.Contains(t, d.EdgedLog(), `"audit":true`)
	require.Contains(t, d.EdgedLog(), `"reason":"not_agent"`)
}

func TestStatusTellsHowARunEnded(t *testing.T) {
	d := device.New(t, device.Options{})
	for _, c := range []struct {
		name, status, code string
		args               []string
	}{
		{"fine", "stopped", "0", []string{"exit", "0"}},
		{"bad", "failed", "42", []string{"exit", "42"}},
	} {
		d.CreateAndStart(d.CommandSpec(c.name, c.args...))
		m := d.WaitFor(c.name, c.status)
		require.Equal(t, c.code, m.Status.ExitStatus.StatusCode)
		require.NotEmpty(t, m.Status.StartTime)
	}
	t.Run("a module that ignores SIGTERM is killed when its time is up", func(t *testing.T) {
		spec := device.WithOptions(d.CommandSpec("stubborn", "stubborn"), func(top, _ map[string]any) { top["StopTimeout"] = 1 })
		d.CreateAndStart(spec)
		d.Eventually("it ignores SIGTERM", func() bool { return strings.Contains(d.Logs("stubborn", ""), "ready") })
		began := time.Now()
		d.Post("stubborn", "stop")
		require.Greater(t, time.Since(began), 900*time.Millisecond)
		m, _ := d.Get("stubborn")
		require.Equal(t, "failed", m.Status.RuntimeStatus.Status)
		require.Equal(t, "137", m.Status.ExitStatus.StatusCode)
		require.Contains(t, m.Status.RuntimeStatus.Description, "stopped by request")
	})
	t.Run("out of memory is seen", func(t *testing.T) {
		spec := device.WithOptions(d.Spec("greedy"), func(_, host map[string]any) { host["Memory"] = 32 << 20 })
		d.CreateAndStart(spec)
		d.Probe("greedy").Try("/allocate?mib=200")
		m := d.WaitFor("greedy", "failed")
		require.Equal(t, "137", m.Status.ExitStatus.StatusCode)
		require.Contains(t, m.Status.RuntimeStatus.Description, "out of memory")
		d.Post("greedy", "start") // whatever systemd keeps of a scope that failed
		d.WaitFor("greedy", "running")
	})
}

func TestRestartPolicies(t *testing.T) {
	d := device.New(t, device.Options{})
	policy := func(name string, retries int) func(top, host map[string]any) {
		return func(_, host map[string]any) {
			host["RestartPolicy"] = map[string]any{"Name": name, "MaximumRetryCount": retries}
		}
	}
	d.CreateAndStart(device.WithOptions(d.Spec("always"), policy("always", 0)))
	first := d.Probe("always")
	started, _ := d.Get("always")
	first.Try("/exit?code=3")
	d.Eventually("it runs again", func() bool {
		m, _ := d.Get("always")
		return m.Status.RuntimeStatus.Status == "running" && m.Status.StartTime != started.Status.StartTime
	})
	d.Post("always", "stop")
	time.Sleep(300 * time.Millisecond) // longer than the first back-off
	m, _ := d.Get("always")
	require.NotEqual(t, "running", m.Status.RuntimeStatus.Status, "what the API stopped stays stopped")

	d.CreateAndStart(device.WithOptions(d.CommandSpec("twice", "exit", "7"), policy("on-failure", 2)))
	d.Eventually("it gave up", func() bool {
		m, _ := d.Get("twice")
		return m.Status.RuntimeStatus.Status == "failed" && !strings.Contains(m.Status.RuntimeStatus.Description, "restart due")
	})
	d.CreateAndStart(device.WithOptions(d.CommandSpec("done", "exit", "0"), policy("on-failure", 0)))
	require.NotContains(t, d.WaitFor("done", "stopped").Status.RuntimeStatus.Description, "restart due")
}

func TestUpdateByGenerations(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.Spec("app"))
	agent := d.Agent()
	spec := d.Spec("app")
	spec.Config.Env = []wire.EnvVar{{Key: "GENERATION", Value: "two"}}
	a := agent.Manage("PUT", "/modules/app?start=true", d.Body(spec))
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.Contains(t, environ(d, "app"), "GENERATION=two")

	t.Run("a generation that cannot start leaves the old one running", func(t *testing.T) {
		broken := device.WithOptions(spec, func(top, _ map[string]any) { top["Entrypoint"] = []string{"/no/such/program"} })
		a := agent.Manage("PUT", "/modules/app?start=true", d.Body(broken))
		require.Equal(t, http.StatusBadRequest, a.Status, a.Body)
		require.Contains(t, a.Message(), "/no/such/program")
		require.Contains(t, environ(d, "app"), "GENERATION=two")
		m, _ := d.Get("app")
		require.Equal(t, "running", m.Status.RuntimeStatus.Status)
		require.Equal(t, []wire.EnvVar{{Key: "GENERATION", Value: "two"}}, m.Config.Env)
		require.Len(t, d.Containers("app"), 1, "nothing of the broken generation is left")
	})
	t.Run("without start the new generation is there and stopped", func(t *testing.T) {
		a := agent.Manage("PUT", "/modules/app", d.Body(d.Spec("app")))
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		m, _ := d.Get("app")
		require.Equal(t, "stopped", m.Status.RuntimeStatus.Status)
		require.Len(t, d.Containers("app"), 1)
	})
	t.Run("a module that is not there, or another one", func(t *testing.T) {
		require.Equal(t, http.StatusNotFound, agent.Manage("PUT", "/modules/nobody", d.Body(d.CommandSpec("nobody", "sleep"))).Status)
		require.Equal(t, http.StatusBadRequest, agent.Manage("PUT", "/modules/app", d.Body(d.CommandSpec("other", "sleep"))).Status)
	})
	t.Run("the agent updates itself", func(t *testing.T) {
		self := d.Spec("edgeAgent")
		self.Config.Env = []wire.EnvVar{{Key: "SELF", Value: "made"}}
		a := agent.Manage("PUT", "/modules/edgeAgent?start=true", d.Body(self))
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		// Not asked of the probe itself, which may be going just then.
		d.Eventually("the new agent runs", func() bool {
			m, _ := d.Get("edgeAgent")
			return m.Status.RuntimeStatus.Status == "running" && slices.Equal(m.Config.Env, self.Config.Env)
		})
		require.Contains(t, environ(d, "edgeAgent"), "SELF=made")
		require.Equal(t, http.StatusOK, d.Agent().Manage("GET", "/modules", "").Status)
	})
}

func TestEnvironmentIsMergedAndStatesIdentity(t *testing.T) {
	d := device.New(t, device.Options{Config: "[device]\nid = \"press-7\"\nhub = \"hub.example\"\n"})
	spec := device.WithOptions(d.Spec("env"), func(top, _ map[string]any) {
		top["Env"] = []string{"OVERRIDDEN=options", "FROM_OPTIONS=yes", "IOTEDGE_MODULEID=somebody"}
	})
	spec.Config.Env = []wire.EnvVar{{Key: "FROM_OPTIONS", Value: "config"}, {Key: "EDGED_DEVICEID", Value: "another"}, {Key: "IOTEDGE_GATEWAYHOSTNAME", Value: "mine"}}
	d.CreateAndStart(spec)
	env := environ(d, "env")
	for _, want := range []string{
		"FROM_IMAGE=yes", "OVERRIDDEN=options", "FROM_OPTIONS=config", "IOTEDGE_MODULEID=env", "EDGED_MODULEID=env",
		"IOTEDGE_DEVICEID=press-7", "EDGED_DEVICEID=press-7", "IOTEDGE_WORKLOADURI=unix:///run/edged/workload.sock",
		"IOTEDGE_IOTHUBHOSTNAME=hub.example", "IOTEDGE_GATEWAYHOSTNAME=mine",
	} {
		require.Contains(t, env, want)
	}
	require.False(t, slices.ContainsFunc(env, func(s string) bool { return strings.HasPrefix(s, "IOTEDGE_MANAGEMENTURI=") }))
	require.Contains(t, environ(d, "edgeAgent"), "IOTEDGE_MANAGEMENTURI=unix:///run/edged/mgmt.sock")
}

func TestManyModulesAtOnce(t *testing.T) {
	d := device.New(t, device.Options{})
	names := []string{"$edge hub", "café-ü", "a..b", "日本", "UPPER", "under_score", "x", strings.Repeat("long", 50)}
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() { d.CreateAndStart(d.CommandSpec(name, "sleep")) })
	}
	wg.Wait()
	var list wire.ModuleList
	require.NoError(t, json.Unmarshal([]byte(d.Host("GET", "/modules?"+device.Version, "").Body), &list))
	require.Len(t, list.Modules, len(names)+1)
	for _, name := range names {
		m, _ := d.Get(name)
		require.Equal(t, "running", m.Status.RuntimeStatus.Status, name)
		require.Equal(t, strings.TrimPrefix(name, "$"), m.ID)
	}
	a := d.Agent().Manage("POST", "/modules", d.Body(d.CommandSpec("edge hub", "sleep")))
	require.Equal(t, http.StatusConflict, a.Status, "one leading $ is the same module")
	agent := d.Agent()
	for _, name := range names {
		wg.Go(func() {
			a := agent.Manage("DELETE", fmt.Sprintf("/modules/%s", escape(name)), "")
			if a.Status != http.StatusNoContent {
				t.Errorf("delete %s: %d %s %s", name, a.Status, a.Body, a.Error)
			}
		})
	}
	wg.Wait()
	require.Len(t, d.Containers(""), 1, "only edgeAgent is left")
}
