package workload

import (
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

// told is what edged tells a module, without the prefix; every name comes under both.
func (m *member) told() map[string]string {
	m.t.Helper()
	told := map[string]map[string]string{"IOTEDGE_": {}, "EDGED_": {}}
	for key, value := range m.env {
		for prefix, names := range told {
			if name, ok := strings.CutPrefix(key, prefix); ok {
				names[name] = value
			}
		}
	}
	require.Equal(m.t, told["IOTEDGE_"], told["EDGED_"])
	return told["EDGED_"]
}

func TestModulesAreToldWhoTheyAre(t *testing.T) {
	hostname, err := os.Hostname()
	require.NoError(t, err)
	for _, c := range []struct {
		name, config string
		device       map[string]string
	}{
		{"nothing configured", "", map[string]string{"DEVICEID": hostname, "GATEWAYHOSTNAME": hostname}},
		{"a hub", "[device]\nid = \"dev-1\"\nhub = \"hub.example\"\n", map[string]string{
			"DEVICEID": "dev-1", "IOTHUBHOSTNAME": "hub.example", "GATEWAYHOSTNAME": hostname,
		}},
		{"hub and gateway", "[device]\nid = \"dev-1\"\nhub = \"hub.example\"\ngateway = \"gw.example\"\n", map[string]string{
			"DEVICEID": "dev-1", "IOTHUBHOSTNAME": "hub.example", "GATEWAYHOSTNAME": "gw.example",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := device.New(t, device.Options{Config: c.config})
			identity(t, d, "$edgeHub")
			manager := d.Spec("manager")
			manager.Config.Settings.Management = true
			d.CreateAndStart(manager)
			for name, who := range map[string]struct {
				id         string
				management bool
			}{"edgeAgent": {"$edgeAgent", true}, "edgeHub": {"$edgeHub", false}, "sensor": {"sensor", false}, "manager": {"manager", true}} {
				m := &member{}
				if name == "edgeAgent" || name == "manager" {
					m = join(t, d, name)
				} else {
					m = run(t, d, name)
				}
				want := map[string]string{
					"WORKLOADURI": "unix:///run/edged/workload.sock", "MODULEID": who.id, "MODULEGENERATIONID": identity(t, d, name).GenerationID,
					"APIVERSION": "2022-08-03", "AUTHSCHEME": "sasToken",
				}
				maps.Copy(want, c.device)
				if who.management {
					want["MANAGEMENTURI"] = "unix:///run/edged/mgmt.sock"
				}
				require.Equal(t, want, m.told(), name)
				require.NotEmpty(t, m.sign("text"), "what it is told is what works")
			}
		})
	}
}

// A module's own environment wins for where others are, never for who it is.
func TestAModuleCannotBeToldToBeAnother(t *testing.T) {
	d := device.New(t, device.Options{Config: "[device]\nid = \"dev-1\"\nhub = \"hub.example\"\n"})
	victim := run(t, d, "victim")
	spec := d.Spec("sensor")
	for _, prefix := range []string{"IOTEDGE_", "EDGED_"} {
		for key, value := range map[string]string{
			"MODULEID": "victim", "MODULEGENERATIONID": victim.generation(), "DEVICEID": "dev-2", "APIVERSION": "1", "WORKLOADURI": "unix:///probe/fake.sock",
			"IOTHUBHOSTNAME": "other.example", "GATEWAYHOSTNAME": "parent.example", "AUTHSCHEME": "x509",
		} {
			spec.Config.Env = append(spec.Config.Env, wire.EnvVar{Key: prefix + key, Value: value})
		}
	}
	d.CreateAndStart(spec)
	m := join(t, d, "sensor")
	require.Equal(t, map[string]string{
		"WORKLOADURI": "unix:///run/edged/workload.sock", "MODULEID": "sensor", "MODULEGENERATIONID": identity(t, d, "sensor").GenerationID,
		"APIVERSION": "2022-08-03", "DEVICEID": "dev-1", "IOTHUBHOSTNAME": "other.example", "GATEWAYHOSTNAME": "parent.example", "AUTHSCHEME": "x509",
	}, m.told())
	require.NotEqual(t, victim.sign("text"), m.sign("text"))
}
