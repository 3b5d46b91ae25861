package network

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

const plantConf = `{"cniVersion":"0.4.0","name":"plant","plugins":[{"type":"bridge","bridge":"plant0","isGateway":true,"ipMasq":true,"hairpinMode":true,
	"capabilities":{"ips":true,"mac":true},"ipam":{"type":"host-local","routes":[{"dst":"0.0.0.0/0"}],"ranges":[[{"subnet":"10.77.0.0/24"}]]}},{"type":"portmap","capabilities":{"portMappings":true},"snat":true}]}`

func TestAnOperatorsNetworks(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true})
	require.NoError(t, os.MkdirAll(d.ConfDir(), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(d.ConfDir(), "plant.conflist"), []byte(plantConf), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(d.ConfDir(), "broken.conflist"), []byte(`{"name":"broken"`), 0o644))
	d.CreateAndStart(device.WithOptions(d.Spec("both"), func(top, host map[string]any) {
		host["NetworkMode"] = "plant"
		bind(host, "", "8080")
		top["NetworkingConfig"] = map[string]any{"EndpointsConfig": map[string]any{
			"edged": map[string]any{}, "plant": map[string]any{"IPAMConfig": map[string]any{"IPv4Address": "10.77.0.9"}, "Aliases": []string{"press"}},
		}}
	}))
	d.CreateAndStart(device.WithOptions(d.Spec("plantonly"), func(_, host map[string]any) { host["NetworkMode"] = "plant" }))
	d.CreateAndStart(d.Spec("edgedonly"))
	serve(t, d, "both", "tcp", "80")
	require.Equal(t, "eth0", onNetwork(t, d, "plant", "both").Interface)
	require.Equal(t, []string{"10.77.0.9"}, onNetwork(t, d, "plant", "both").Addresses)
	require.Equal(t, "eth1", onNetwork(t, d, "edged", "both").Interface)
	require.Contains(t, dialFrom(t, d, "plantonly", "tcp", "press:80"), "both 10.77.0.")
	require.Contains(t, dialFrom(t, d, "edgedonly", "tcp", "both:80"), "both 172.30.0.")
	require.Contains(t, dialFrom(t, d, "edgedonly", "tcp", "press:80"), "error", "an alias is of one network")
	require.Contains(t, dialHost(t, d, "tcp", device.HostAddress+":8080"), "both ")
	given := onNetwork(t, d, "plant", "plantonly").Addresses
	require.NotEmpty(t, given, "the plugin gave it, edged keeps it")
	d.Reboot()
	d.WaitFor("plantonly", "running")
	require.Equal(t, given, onNetwork(t, d, "plant", "plantonly").Addresses)
	for _, name := range []string{"both", "plantonly", "edgedonly"} {
		d.WaitFor(name, "running")
		d.Delete(name)
	}
	d.Eventually("no lease and no namespace is left", func() bool {
		left := tracesOf(t, d)
		return len(left.Caches)+len(left.Namespaces)+len(left.States) == 0
	})
	require.NotContains(t, d.InHost("iptables-save"), "10.77.0.9:80", "the operator's plugins took their rules away")
}

func TestAModuleInAnothersNamespace(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true})
	guest := device.WithOptions(d.Spec("guest"), func(_, host map[string]any) { host["NetworkMode"] = "container:owner" })
	d.Create(guest)
	a := d.Host(http.MethodPost, "/modules/guest/start?"+device.Version, "")
	require.Equal(t, http.StatusConflict, a.Status, a.Body)
	require.Contains(t, a.Message(), "container:owner")
	d.Create(d.Spec("owner"))
	d.Post("guest", "start") // whether the other runs or not
	d.Post("owner", "start")
	serve(t, d, "guest", "tcp", "80")
	require.Contains(t, dialFrom(t, d, "owner", "tcp", "127.0.0.1:80"), "guest ")
	d.Post("owner", "restart")
	require.Contains(t, dialFrom(t, d, "owner", "tcp", "127.0.0.1:80"), "guest ")
	for _, name := range []string{"guest", "owner"} {
		a := d.Probe(name).Call(device.Call{Socket: device.WorkloadInside, Method: http.MethodGet, Path: "/modules?" + device.Version})
		require.Equal(t, http.StatusOK, a.Status, name+" is itself: "+a.Body)
	}
	d.Reboot()
	d.WaitFor("guest", "running")
	d.WaitFor("owner", "running")
	serve(t, d, "guest", "tcp", "80")
	require.Contains(t, dialFrom(t, d, "owner", "tcp", "127.0.0.1:80"), "guest ")
}

func TestHostsFilesFollowWhatComesAndGoes(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true})
	d.CreateAndStart(d.Spec("first"))
	require.NotContains(t, fileInside(d, "first", "/etc/hosts"), "second")
	d.CreateAndStart(d.Spec("second"))
	require.Contains(t, fileInside(d, "first", "/etc/hosts"), address(t, d, "second")+"\tsecond-")
	d.Delete("second")
	d.Eventually("the name is gone", func() bool {
		return !contains(fileInside(d, "first", "/etc/hosts"), "second")
	})
}

// TestTheHubAnswersToTheGatewaysName, which IOTEDGE_GATEWAYHOSTNAME tells every module, until a module is called so.
func TestTheHubAnswersToTheGatewaysName(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true, Config: "[device]\ngateway = \"gw.plant.example\"\n"})
	d.CreateAndStart(d.Spec("pump"))
	d.CreateAndStart(d.Spec("edgeHub"))
	serve(t, d, "edgeHub", "tcp", "8883")
	for _, from := range []string{"pump", "edgeHub"} {
		require.Contains(t, dialFrom(t, d, from, "tcp", "gw.plant.example:8883"), "edgeHub ", from)
	}
	d.CreateAndStart(d.Spec("gw.plant.example"))
	serve(t, d, "gw.plant.example", "tcp", "8883")
	d.Eventually("the name is the module's that has it", func() bool {
		return contains(dialFrom(t, d, "pump", "tcp", "gw.plant.example:8883"), "gw.plant.example ")
	})
	require.Contains(t, dialFrom(t, d, "pump", "tcp", "edgeHub:8883"), "edgeHub ")
}
