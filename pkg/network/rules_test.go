package network

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestTheFilterOfANetwork(t *testing.T) {
	to := netip.MustParseAddrPort
	for name, r := range map[string]rules{
		"four": {bridge: "edged0", subnet: netip.MustParsePrefix("172.30.0.0/16"), ports: []published{
			{proto: "udp", port: 53, to: to("172.30.0.3:5353")},
			{proto: "tcp", port: 8080, to: to("172.30.0.2:80")},
			{proto: "tcp", hostIP: netip.MustParseAddr("127.0.0.1"), port: 8081, to: to("172.30.0.2:81")},
		}},
		"six": {bridge: "edged0", subnet: netip.MustParsePrefix("fd00:ed9e::/64"), ports: []published{{proto: "tcp", port: 8080, to: to("[fd00:ed9e::2]:80")}}},
	} {
		file := filepath.Join("testdata", name+".rules")
		got := r.render(lacks{r.hooks(), true})
		if *update {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), got, "go test ./pkg/network -update writes it anew")
	}
}

// The text is what iptables-save 1.8.9 printed after one of edged's starts beside Docker's chains.
func TestOwnRulesAreFoundAmongOthers(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "iptables-save"))
	require.NoError(t, err)
	r := rules{bridge: "edged0", subnet: netip.MustParsePrefix("172.30.0.0/16")}
	s := r.read(string(text))
	require.True(t, s.any)
	require.Len(t, s.hooks, 4)
	missing := r.missing(s)
	require.Len(t, missing.hooks, 1, "the one in FORWARD was removed")
	require.Equal(t, "FORWARD", missing.hooks[0].chain)
	require.True(t, missing.user)
	gone := r.remove(s)
	require.NotContains(t, gone, "DOCKER")
	require.Contains(t, gone, "-D PREROUTING ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j EDGED-DNAT-edged0\n")
	require.NotContains(t, gone, "-D FORWARD")
	other := rules{bridge: "edged", subnet: r.subnet}
	require.False(t, other.read(string(text)).any, "a bridge whose name is the beginning of another's")
}

func TestADefaultRouteIsFound(t *testing.T) {
	head := "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	for text, want := range map[string]string{
		"":   "",
		head: "",
		head + "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\neth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n":      "eth0",
		head + "wlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\neth1\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n": "eth1",
		head + "tun0\t00000000\t010200C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n":                                                                  "",
	} {
		require.Equal(t, want, defaultRoute(text), text)
	}
}
