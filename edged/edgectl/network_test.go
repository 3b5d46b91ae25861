package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

func networksOf(list ...wire.Network) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/networks" {
			w.WriteHeader(http.StatusNotFound)
		}
		_ = json.NewEncoder(w).Encode(wire.NetworkList{Networks: list})
	})
}

func TestNetworksAreATable(t *testing.T) {
	d := newDevice(t, networksOf(
		wire.Network{Name: "edged", Driver: "bridge", Subnets: []string{"172.30.0.0/16"}, Modules: []wire.NetworkModule{
			{Name: "hub", Interface: "eth0", Addresses: []string{"172.30.0.2", "fd00::2"}, Names: []string{"hub", "broker"}, Running: true, Ports: []wire.NetworkPort{
				{HostPort: 8080, Port: 80, Protocol: "tcp"}, {HostIP: "127.0.0.1", HostPort: 53, Port: 5353, Protocol: "udp"},
			}},
			{Name: "a\x1b]0;t\x07", Interface: "eth0"},
		}},
		wire.Network{Name: "plant", Driver: "macvlan"},
	))
	require.Equal(t, result{0, `NETWORK   DRIVER    MODULE        ADDRESSES             PORTS                                  NAMES
edged     bridge    hub           172.30.0.2, fd00::2   8080->80/tcp, 127.0.0.1:53->5353/udp   hub broker
edged     bridge    a\x1b]0;t\a   -                     -                                      -
plant     macvlan   -             -                     -                                      -
`, ""}, d.run("network"))
	var list []wire.Network
	require.NoError(t, json.Unmarshal([]byte(d.run("network", "--format", "json").out), &list))
	require.Len(t, list, 2)
	require.Equal(t, exitUsage, d.run("network", "--format", "yaml").code)
	require.Equal(t, exitUsage, d.run("network", "x").code)
	require.Equal(t, "[]\n", newDevice(t, networksOf()).run("networks", "--format", "json").out)
}

func TestNetworksByATemplate(t *testing.T) {
	d := newDevice(t, networksOf(wire.Network{Name: "edged", Modules: []wire.NetworkModule{{Name: "pump"}}}, wire.Network{Name: "plant"}))
	require.Equal(t, result{0, "edged 1\nplant 0\n", ""}, d.run("network", "--format", "{{.Name}} {{len .Modules}}"))
	require.Equal(t, exitUsage, d.run("network", "--format", "yaml").code)
}
