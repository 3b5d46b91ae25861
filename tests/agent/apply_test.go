package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
	"github.com/edged/edged/tests/device"
)

func revision(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestManifests(t *testing.T) {
	t.Parallel()
	r := newRig(t, device.Options{Network: true})
	for _, test := range []struct {
		name string
		run  func(*rig)
	}{
		{"a single module", single},
		{"a sensor and its broker, in YAML", pair},
		{"twenty modules with startup orders", twenty},
		{"one broken in ten ways changes nothing", broken},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(r.sub(t)) }) {
			return
		}
	}
}

func single(r *rig) {
	text := read(r.t, "single.json")
	s := r.apply(text)
	require.Equal(r.t, deployment.Applied, s.Phase, s.Error)
	require.Equal(r.t, revision(text), s.LastGood)
	require.Equal(r.t, deployment.Module{State: "running"}, s.Modules["thermometer"])
	require.Len(r.t, s.Notices, 1, "the agent in systemModules")
	m := r.modules()["thermometer"]
	require.Equal(r.t, []wire.EnvVar{{Key: "UNIT", Value: "C"}, {Key: "PERIOD", Value: "5"}}, m.Config.Env)
	require.JSONEq(r.t, `{"Cmd":["ticker","1s"],"StopTimeout":5,"HostConfig":{"NetworkMode":"none","Memory":67108864,"RestartPolicy":{"Name":"always"}}}`, string(m.Config.Settings.CreateOptions))

	info, err := os.Stat(filepath.Join(r.Home, "agent", "status", deployment.StatusFile))
	require.NoError(r.t, err)
	require.Equal(r.t, os.FileMode(0o640), info.Mode())
	folder, err := os.Stat(r.desired())
	require.NoError(r.t, err)
	require.Equal(r.t, folder.Sys().(*syscall.Stat_t).Gid, info.Sys().(*syscall.Stat_t).Gid, "members of the group can read it")
}

func pair(r *rig) {
	text := read(r.t, "pair.yaml")
	s := r.apply(text)
	require.Equal(r.t, deployment.Applied, s.Phase, s.Error)
	require.Equal(r.t, []string{"SimulatedTemperatureSensor", "edgeHub"}, r.running())
	modules := r.modules()
	require.Equal(r.t, "healthy", modules["SimulatedTemperatureSensor"].Status.RuntimeStatus.Health, "it reaches the broker by name")
	require.Less(r.t, modules["edgeHub"].Status.StartTime, modules["SimulatedTemperatureSensor"].Status.StartTime)
}

func twenty(r *rig) {
	s := r.apply(read(r.t, "twenty.json"))
	require.Equal(r.t, deployment.Applied, s.Phase, s.Error)
	modules := r.modules()
	require.Len(r.t, modules, 20)
	last := ""
	for order := range 4 {
		first, latest := "", last
		for i := order * 5; i < order*5+5; i++ {
			m := modules[fmt.Sprintf("line%02d", i)]
			if i%10 == 9 {
				require.Equal(r.t, "stopped", m.Status.RuntimeStatus.Status)
				continue
			}
			require.Equal(r.t, "running", m.Status.RuntimeStatus.Status, m.Name)
			if started := m.Status.StartTime; first == "" || started < first {
				first = started
			}
			latest = max(latest, m.Status.StartTime)
		}
		require.Greater(r.t, first, last, "order %d began after the one before", order)
		last = latest
	}
}

func broken(r *rig) {
	before := r.modules()
	text := read(r.t, "broken.json")
	s := r.apply(text)
	require.Equal(r.t, deployment.Invalid, s.Phase)
	require.Equal(r.t, revision(read(r.t, "twenty.json")), s.LastGood)
	const desired = "modulesContent.$edgeAgent.properties.desired."
	for _, place := range []string{
		"schemaVersion: ", "runtime.settings.registryCredentials.plant.password: ", "modules.policy.restartPolicy: ", "modules.order.startupOrder: ",
		"modules.image.settings.image: ", "modules.noimage.settings: ", "modules.options.settings.createOptions: ", "modules.pieces.settings.createOptions02: ",
		`modules.env.env["A=B"]: `, `modules["no/slash"]: `,
	} {
		require.Contains(r.t, s.Error, strings.ReplaceAll(desired+place, ".[", "["))
	}
	require.Equal(r.t, 10, strings.Count(s.Error, desired))
	require.Equal(r.t, before, r.modules())
}

func TestDeploymentsThatNeedMoreThanTheDevice(t *testing.T) {
	t.Parallel()
	r := newRig(t, device.Options{AgentEnv: `EDGED_AGENT_HEALTHY_WITHIN = "4s"`})
	registry := device.NewRegistry(t)
	registry.Push(r.Device, "press:2", 1)
	for _, test := range []struct {
		name string
		run  func(*rig, *device.Registry)
	}{
		{"credentials of a registry", credentials},
		{"one that does not become healthy is rolled back", rollback},
		{"an image that there is not changes nothing", missing},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(r.sub(t), registry) }) {
			return
		}
	}
}

func credentials(r *rig, registry *device.Registry) {
	text := strings.ReplaceAll(read(r.t, "credentials.json"), "registry.example:5000", registry.Address)
	s := r.apply(text)
	require.Equal(r.t, deployment.Invalid, s.Phase)
	require.Contains(r.t, s.Error, "${PLANT_PASSWORD} has no value")
	r.write(deployment.SecretsFile, `{"PLANT_USER":"`+device.RegistryUser+`","PLANT_PASSWORD":"wrong"}`)
	r.Eventually("the registry refuses", func() bool { return r.status().Phase == deployment.Failed })
	require.Empty(r.t, r.modules())
	r.write(deployment.SecretsFile, `{"PLANT_USER":"`+device.RegistryUser+`","PLANT_PASSWORD":"`+device.RegistryPassword+`"}`)
	r.Eventually("it is applied", func() bool { return r.status().Phase == deployment.Applied })
	require.Equal(r.t, []string{"press"}, r.running())
	files, err := filepath.Glob(filepath.Join(r.Home, "agent", "status", "*"))
	require.NoError(r.t, err)
	more, err := filepath.Glob(filepath.Join(r.Home, "agent", "status", deployment.ManifestsFolder, "*"))
	require.NoError(r.t, err)
	for _, file := range append(files, more...) {
		b, err := os.ReadFile(file)
		if err == nil {
			require.NotContains(r.t, string(b), device.RegistryPassword, file)
		}
	}
}

func rollback(r *rig, _ *device.Registry) {
	good := r.status().LastGood
	before := r.modules()["press"]
	text := strings.ReplaceAll(manifestOf(variant{mark: "sick"}), "exit 0", "exit 1")
	s := r.apply(text)
	require.Equal(r.t, deployment.RolledBack, s.Phase, s.Error)
	require.Equal(r.t, good, s.LastGood)
	require.Contains(r.t, s.Error, "not healthy within 4s")
	require.Equal(r.t, []string{"press"}, r.running())
	require.Equal(r.t, before.Config, r.modules()["press"].Config)
	// The registry is not needed for it.
	require.NotContains(r.t, r.modules(), "a")
}

func missing(r *rig, registry *device.Registry) {
	before := r.modules()
	s := r.apply(`{"schemaVersion":"1.1","modules":{"none":{"settings":{"image":"` + registry.Address + `/none:1"}}}}`)
	require.Equal(r.t, deployment.Failed, s.Phase)
	require.Contains(r.t, s.Error, "module none: cannot prepare")
	require.Equal(r.t, before, r.modules())
	require.Equal(r.t, deployment.Applied, r.apply(manifestOf(variant{mark: "1"})).Phase)
	require.Equal(r.t, []string{"a", "b"}, r.running())
}
