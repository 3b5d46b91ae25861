package network

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// TestAForwardPolicyOfDropKeepsNobodyOut is what Docker and ufw leave a host with.
func TestAForwardPolicyOfDropKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true})
	d.InHost("iptables", "-P", "FORWARD", "DROP")
	d.InHost("iptables", "-A", "FORWARD", "-j", "REJECT")
	d.CreateAndStart(device.WithOptions(d.Spec("server"), func(_, host map[string]any) { bind(host, "", "8080") }))
	d.CreateAndStart(device.WithOptions(d.Spec("local"), func(_, host map[string]any) { bind(host, "127.0.0.1", "8081") }))
	d.CreateAndStart(d.Spec("client"))
	serve(t, d, "server", "tcp", "80")
	serve(t, d, "server", "tcp", "90")
	serve(t, d, "local", "tcp", "80")
	neighbour := func(address string) string {
		c, err := d.DialNeighbour(t.Context(), "tcp", address)
		return told(c, err, "tcp")
	}
	require.Contains(t, neighbour(device.HostAddress+":8080"), "server ")
	require.Contains(t, dialFrom(t, d, "client", "tcp", "server:90"), "server ", "modules reach each other's every port")
	require.Contains(t, dialFrom(t, d, "client", "tcp", device.HostAddress+":8080"), "server ")
	require.Contains(t, dialHost(t, d, "tcp", "127.0.0.1:8081"), "local ")
	require.Contains(t, neighbour(device.HostAddress+":8081"), "error", "it is published on 127.0.0.1 alone")

	// A neighbour that routes into the network gets at nothing that is not published.
	d.InNeighbour("ip", "route", "add", "172.30.0.0/16", "via", device.HostAddress)
	d.InHost("iptables", "-P", "FORWARD", "ACCEPT")
	d.InHost("iptables", "-D", "FORWARD", "-j", "REJECT")
	require.Contains(t, neighbour(address(t, d, "server")+":90"), "error")

	// The way out is open, too.
	l := d.ListenNeighbour("tcp", device.NeighbourAddress+":9000")
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = c.Write([]byte("outside " + c.RemoteAddr().String()))
			_ = c.Close()
		}
	}()
	require.Contains(t, dialFrom(t, d, "client", "tcp", device.NeighbourAddress+":9000"), "outside "+device.HostAddress)
}

// TestTheHostsLoopbackIsNotForModules: to publish on 127.0.0.1 the bridge routes such addresses.
func TestTheHostsLoopbackIsNotForModules(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true})
	d.CreateAndStart(device.WithOptions(d.Spec("curious"), func(_, host map[string]any) {
		bind(host, "", "8080")
		host["CapAdd"] = []string{"NET_ADMIN"}
	}))
	l, err := d.Listen("tcp", "127.0.0.1:9000")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("secret"))
			_ = c.Close()
		}
	}()
	require.Equal(t, "1\n", d.InHost("cat", "/proc/sys/net/ipv4/conf/"+d.Bridge()+"/route_localnet"), "else the test shows nothing")
	// With its own namespace's loopback out of the way, 127/8 goes where the module says.
	ns := filepath.Join(d.Run, "netns")
	entries, err := os.ReadDir(ns)
	require.NoError(t, err)
	file := ""
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "curious-") {
			file = filepath.Join(ns, e.Name())
		}
	}
	d.In(file, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet; ip addr del 127.0.0.1/8 dev lo; ip link set lo down; ip route flush table local; ip route add local "+address(t, d, "curious")+" dev eth0 table local; ip route add 127.0.0.0/8 via 172.30.0.1 src "+address(t, d, "curious"))
	attack := func() string { return dialFrom(t, d, "curious", "tcp", "127.0.0.1:9000") }
	require.Contains(t, attack(), "error")
	d.InHost("iptables", "-t", "raw", "-F", "EDGED-RAW-"+d.Bridge())
	require.Equal(t, "secret", attack(), "without the rule it succeeds")
}

func TestModulesHaveIPv6WhereItIsConfigured(t *testing.T) {
	t.Parallel()
	d := device.New(t, device.Options{Network: true, Config: "[network]\nsubnet6 = \"fd00:ed9e::/64\"\n"})
	d.CreateAndStart(device.WithOptions(d.Spec("six"), func(top, host map[string]any) {
		bind(host, "", "8080")
		top["NetworkingConfig"] = map[string]any{"EndpointsConfig": map[string]any{"edged": map[string]any{"IPAMConfig": map[string]any{"IPv6Address": "fd00:ed9e::99"}}}}
	}))
	d.CreateAndStart(d.Spec("client"))
	require.Equal(t, []string{"172.30.0.2", "fd00:ed9e::99"}, onNetwork(t, d, "edged", "six").Addresses)
	serve(t, d, "six", "tcp", "80")
	require.Contains(t, fileInside(d, "client", "/etc/hosts"), "fd00:ed9e::99\tsix-")
	require.Contains(t, dialFrom(t, d, "client", "tcp6", "six:80"), "six ")
	require.Contains(t, dialHost(t, d, "tcp6", "[2001:db8::2]:8080"), "six ")
	require.Contains(t, dialFrom(t, d, "client", "tcp6", "[2001:db8::2]:8080"), "six ")
	require.Contains(t, dialFrom(t, d, "six", "tcp6", "[2001:db8::2]:8080"), "six ")
	c, err := d.DialNeighbour(t.Context(), "tcp6", "[2001:db8::2]:8080")
	require.Contains(t, told(c, err, "tcp"), "six [2001:db8::1]")
	require.Contains(t, dialHost(t, d, "tcp", device.HostAddress+":8080"), "six ")

	// Who asks for localhost asks there first, and must not wait before the next address.
	require.Contains(t, dialHost(t, d, "tcp6", "[::1]:8080"), "connection refused")
	require.Contains(t, dialHost(t, d, "tcp", "localhost:8080"), "six ")
	spec := device.WithOptions(d.Spec("own"), func(_, host map[string]any) { bind(host, "::1", "8081") })
	a := d.Agent().Manage(http.MethodPost, "/modules", d.Body(spec))
	require.Equal(t, http.StatusBadRequest, a.Status, a.Body)
	require.Contains(t, a.Message(), "on ::1 leads nowhere")
}
