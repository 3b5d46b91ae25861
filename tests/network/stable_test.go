package network

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

func TestAddressesAndPortsStayOverRestartUpdateAndReboot(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true})
	spec := device.WithOptions(d.Spec("stays"), func(_, host map[string]any) {
		host["RestartPolicy"] = map[string]any{"Name": "always"}
		host["PortBindings"] = map[string]any{"80/tcp": []any{map[string]any{}}}
	})
	d.Create(d.CommandSpec("before", "sleep")) // so that it does not get the first address
	d.CreateAndStart(spec)
	before := onNetwork(t, d, "edged", "stays")
	require.Len(t, before.Ports, 1)
	same := func(after string) {
		t.Helper()
		now := onNetwork(t, d, "edged", "stays")
		require.Equal(t, before.Addresses, now.Addresses, after)
		require.Equal(t, before.Ports, now.Ports, after)
		serve(t, d, "stays", "tcp", "80")
		d.Eventually("the port answers after "+after, func() bool {
			return strings.HasPrefix(dialHost(t, d, "tcp", device.HostAddress+":"+port(before.Ports[0])), "stays ")
		})
	}
	same("start")
	d.Post("stays", "restart")
	same("restart")
	spec.Config.Env = []wire.EnvVar{{Key: "NEW", Value: "1"}}
	a := d.Agent().Manage(http.MethodPut, "/modules/stays?start=true", d.Body(spec))
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	same("update")
	d.Edged.Signal(syscall.SIGKILL)
	d.StartEdged()
	require.Equal(t, before.Addresses, onNetwork(t, d, "edged", "stays").Addresses)
	require.True(t, strings.HasPrefix(dialHost(t, d, "tcp", device.HostAddress+":"+port(before.Ports[0])), "stays "), "edged's restart cuts nothing")
	d.Delete("before")
	d.Reboot()
	d.WaitFor("stays", "running")
	same("reboot")
}

// TestARebootWithoutALineBringsNetworksBack: what modules say to each other and to the host needs nobody outside.
func TestARebootWithoutALineBringsNetworksBack(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true})
	d.CreateAndStart(device.WithOptions(d.Spec("server"), func(_, host map[string]any) { bind(host, "", "8080") }))
	d.CreateAndStart(device.WithOptions(d.Spec("client"), func(_, host map[string]any) {
		host["RestartPolicy"] = map[string]any{"Name": "no"} // a power cut is no exit of the module's
		host["ExtraHosts"] = []string{"gw:host-gateway"}
	}))
	before := address(t, d, "server")
	d.Ip("link", "set", "eth0", "down")
	d.Ip("addr", "flush", "dev", "eth0")
	require.NotContains(t, d.Ip("route"), "default")
	d.Reboot()
	d.WaitFor("server", "running")
	d.WaitFor("client", "running")
	require.Equal(t, before, address(t, d, "server"))
	serve(t, d, "server", "tcp", "80")
	require.Contains(t, dialFrom(t, d, "client", "tcp", "server:80"), "server ")
	require.Contains(t, dialFrom(t, d, "client", "tcp", "gw:8080"), "server ")
	require.Contains(t, dialHost(t, d, "tcp", "127.0.0.1:8080"), "server ")
}

func TestARestartRunsNoPlugin(t *testing.T) {
	t.Parallel()
	plugins := countingPlugins(t)
	d := device.New(t, device.Options{Network: true, Config: "[network]\ncni_bin_dirs = [\"" + plugins + "\"]\n"})
	d.CreateAndStart(d.Spec("again"))
	before := calls(t, plugins)
	require.NotZero(t, before)
	for range 3 {
		d.Post("again", "restart")
	}
	d.Probe("again").Try("/exit?code=1")
	d.WaitFor("again", "failed")
	d.Post("again", "start")
	require.Equal(t, before, calls(t, plugins))
}

func TestAnUpdateMayChangeTheNetwork(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true})
	d.CreateAndStart(d.Spec("moves"))
	old := address(t, d, "moves")
	update := func(edit func(top, host map[string]any)) device.Answer {
		return d.Agent().Manage(http.MethodPut, "/modules/moves?start=true", d.Body(device.WithOptions(d.Spec("moves"), edit)))
	}
	a := update(func(_, host map[string]any) { host["NetworkMode"] = "none" })
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.NotContains(t, fileInside(d, "moves", "/proc/net/dev"), "eth0")
	require.Empty(t, tracesOf(t, d).Veths)
	a = update(func(top, _ map[string]any) {
		top["NetworkingConfig"] = map[string]any{"EndpointsConfig": map[string]any{"edged": map[string]any{
			"IPAMConfig": map[string]any{"IPv4Address": "172.30.7.7"}, "MacAddress": "02:42:ac:1e:07:07",
		}}}
	})
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.Equal(t, "172.30.7.7", address(t, d, "moves"))
	serve(t, d, "moves", "tcp", "80")
	require.Contains(t, dialHost(t, d, "tcp", "172.30.7.7:80"), "moves ")
	require.Contains(t, fileInside(d, "moves", "/sys/class/net/eth0/address")+fileInside(d, "moves", "/proc/net/arp")+d.Ip("neigh"), "02:42:ac:1e:07:07")
	// One that does not start goes back to where it was.
	a = d.Agent().Manage(http.MethodPut, "/modules/moves?start=true", d.Body(device.WithOptions(d.Spec("moves"), func(top, host map[string]any) {
		top["Entrypoint"] = "/no/such/program"
	})))
	require.Equal(t, http.StatusBadRequest, a.Status, a.Body)
	d.WaitFor("moves", "running")
	require.Equal(t, "172.30.7.7", address(t, d, "moves"))
	a = update(func(_, _ map[string]any) {})
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.Equal(t, old, address(t, d, "moves"), "what edged gave is the module's until it is deleted")
}

func TestNothingIsLeftOfDeletedModules(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true})
	cycle := func() {
		for _, name := range []string{"one", "two"} {
			d.CreateAndStart(device.WithOptions(d.CommandSpec(name, "sleep"), func(_, host map[string]any) {
				host["PortBindings"] = map[string]any{"80/tcp": []any{map[string]any{}}}
			}))
		}
		d.Create(d.CommandSpec("three", "sleep"))
		for _, name := range []string{"one", "two", "three"} {
			d.Delete(name)
		}
	}
	gone := func() (left traces) {
		d.Eventually("nothing of the modules is left", func() bool {
			left = tracesOf(t, d)
			return len(left.Namespaces)+len(left.States)+len(left.Caches)+len(left.Veths) == 0 && !strings.Contains(strings.Join(left.Rules, " "), "--to-destination")
		})
		return left
	}
	cycle()
	first := gone()
	cycle()
	require.Equal(t, first, gone(), "the network itself stays, and is the same")
	// Without any module the next start takes the network itself away.
	d.Edged.Signal(syscall.SIGTERM)
	d.StartEdged()
	d.Eventually("the bridge and its rules are gone", func() bool {
		return !strings.Contains(d.Ip("link"), d.Bridge()) && !strings.Contains(d.InHost("iptables-save"), "EDGED")
	})
}
