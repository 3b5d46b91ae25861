package network

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

func TestModulesTalkByNameAndThroughPublishedPorts(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true})
	server := device.WithOptions(d.Spec("Server"), func(top, host map[string]any) {
		top["Hostname"] = "srv"
		top["Domainname"] = "plant.example"
		host["PortBindings"] = map[string]any{"80/tcp": []any{map[string]any{"HostPort": "8080"}}, "53/udp": []any{map[string]any{"HostPort": "5300"}}}
		top["NetworkingConfig"] = map[string]any{"EndpointsConfig": map[string]any{"azure-iot-edge": map[string]any{"Aliases": []string{"broker", "mqtt.plant"}}}}
	})
	d.CreateAndStart(server)
	d.CreateAndStart(device.WithOptions(d.Spec("client"), func(_, host map[string]any) {
		host["NetworkMode"] = "bridge"
		host["ExtraHosts"] = []string{"outside:192.0.2.1", "gw:host-gateway"}
		host["Dns"] = []string{"192.0.2.53"}
		host["DnsSearch"] = []string{"plant.example"}
		host["DnsOptions"] = []string{"ndots:2"}
	}))
	serve(t, d, "Server", "tcp", "80")
	serve(t, d, "Server", "udp", "53")
	for _, name := range []string{"Server", "server", "srv", "srv.plant.example", "broker", "mqtt.plant", address(t, d, "Server")} {
		require.Contains(t, dialFrom(t, d, "client", "tcp", name+":80"), "Server ", name)
	}
	require.Contains(t, dialFrom(t, d, "Server", "tcp", "srv:80"), "Server ", "its own hostname is its own address")
	require.Contains(t, fileInside(d, "client", "/etc/resolv.conf"), "nameserver 192.0.2.53\nsearch plant.example\noptions ndots:2\n")
	hosts := fileInside(d, "client", "/etc/hosts")
	require.Contains(t, hosts, "192.0.2.1\toutside\n")
	require.Contains(t, hosts, "172.30.0.1\tgw\n")
	for from, told := range map[string]string{
		"the host's address": dialHost(t, d, "tcp", device.HostAddress+":8080"),
		"127.0.0.1":          dialHost(t, d, "tcp", "127.0.0.1:8080"),
		"another module":     dialFrom(t, d, "client", "tcp", device.HostAddress+":8080"),
		"the module itself":  dialFrom(t, d, "Server", "tcp", device.HostAddress+":8080"),
		"its gateway":        dialFrom(t, d, "client", "tcp", "172.30.0.1:8080"),
		"udp":                dialHost(t, d, "udp", device.HostAddress+":5300"),
		"udp on 127.0.0.1":   dialHost(t, d, "udp", "127.0.0.1:5300"),
		"udp from a module":  dialFrom(t, d, "client", "udp", device.HostAddress+":5300"),
	} {
		require.Contains(t, told, "Server ", from)
	}
	c, err := d.DialNeighbour(t.Context(), "tcp", device.HostAddress+":8080")
	require.Equal(t, "Server "+device.NeighbourAddress, told(c, err, "tcp")[:len("Server ")+len(device.NeighbourAddress)], "a neighbour is seen as itself")
	require.Contains(t, fileInside(d, "client", "/proc/net/route"), "eth0")
	require.Contains(t, d.Ip("link", "show", d.Bridge()), "mtu 1400")
	a := d.Probe("client").Call(device.Call{Socket: device.WorkloadInside, Method: http.MethodGet, Path: "/modules?" + device.Version})
	require.Equal(t, http.StatusOK, a.Status, "a module in a namespace of its own is known on its sockets: "+a.Body)
}
