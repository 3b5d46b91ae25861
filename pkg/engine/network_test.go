package engine

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/network"
)

// noStore is a database without a module.
type noStore struct{}

func (noStore) Networks(context.Context) ([]network.Record, error)              { return nil, nil }
func (noStore) SaveNetwork(context.Context, *network.Record) error              { return nil }
func (noStore) NameTaken(context.Context, string, string) (taken bool, _ error) { return false, nil }

// networksIn knows the default network and no other.
func networksIn(tb testing.TB, run string, log logrus.FieldLogger) *network.Manager {
	m, err := network.New(tb.Context(), network.Config{
		Run: run, Bridge: "none0", Subnet: netip.MustParsePrefix("172.30.0.0/16"), ConfDir: run, BinDirs: []string{run}, Store: noStore{}, Log: log,
		HostsFile: func(string) string { return "/nonexistent" },
	})
	require.NoError(tb, err)
	tb.Cleanup(m.Close)
	return m
}

// readNetwork is networkPlan as a check.
func readNetwork(e *Engine) func(*options) error {
	return func(o *options) error {
		_, err := e.networkPlan(&module.Spec{Name: "temp"}, o, nil)
		if errdefs.IsConflict(err) {
			return nil // an alias that is reserved
		}
		return err
	}
}

func planOf(t *testing.T, name, options string, exposed ...string) (*network.Plan, error) {
	t.Helper()
	e, _ := engineIn(t)
	o, _, err := parseOptions(json.RawMessage(options))
	require.NoError(t, err, options)
	return e.networkPlan(&module.Spec{Name: name}, o, exposed)
}

func TestNetworkModesAreDockers(t *testing.T) {
	for options, want := range map[string]network.Mode{
		`{}`: network.ModeNetworks,
		`{"HostConfig":{"NetworkMode":"default"}}`: network.ModeNetworks,
		`{"HostConfig":{"NetworkMode":"bridge"}}`:  network.ModeNetworks,
		`{"HostConfig":{"NetworkMode":"azure-iot-edge"},"NetworkingConfig":{"EndpointsConfig":{"azure-iot-edge":{}}}}`: network.ModeNetworks,
		`{"HostConfig":{"NetworkMode":"host"},"NetworkingConfig":{"EndpointsConfig":{"host":{}}}}`:                     network.ModeHost,
		`{"NetworkingConfig":{"EndpointsConfig":{"host":{}}}}`:                                                         network.ModeHost,
		`{"HostConfig":{"NetworkMode":"none"}}`:                                                                        network.ModeNone,
		`{"HostConfig":{"NetworkMode":"container:$other"}}`:                                                            network.ModeModule,
	} {
		plan, err := planOf(t, "temp", options)
		require.NoError(t, err, options)
		require.Equal(t, want, plan.Mode, options)
		switch want {
		case network.ModeNetworks:
			require.Len(t, plan.Endpoints, 1, options)
			require.Equal(t, network.DefaultNetwork, plan.Endpoints[0].Network)
		case network.ModeModule:
			require.Equal(t, "other", plan.Module)
		}
	}
	plan, err := planOf(t, module.AgentName, `{}`)
	require.NoError(t, err)
	require.Equal(t, network.ModeNone, plan.Mode, "the agent needs only its sockets")
}

func TestPortsAreReadAsDockerWritesThem(t *testing.T) {
	plan, err := planOf(t, "temp", `{"ExposedPorts":{"9/udp":{}},"HostConfig":{"PublishAllPorts":true,"PortBindings":{
		"80/tcp":[{"HostPort":"8080"},{"HostIp":"127.0.0.1","HostPort":"81"}],"443":[{"HostPort":""}],"5000/sctp":[],"70/tcp":[{"HostPort":"7000-7009"}]}}}`, "80/tcp", "100-101/tcp")
	require.NoError(t, err)
	local := netip.MustParseAddr("127.0.0.1")
	require.Equal(t, []network.Port{
		{Proto: "sctp", Port: 5000},
		{Proto: "tcp", From: 7000, To: 7009, Port: 70},
		{Proto: "tcp", HostIP: local, From: 81, To: 81, Port: 80},
		{Proto: "tcp", From: 8080, To: 8080, Port: 80},
		{Proto: "tcp", Port: 100},
		{Proto: "tcp", Port: 101},
		{Proto: "tcp", Port: 443},
		{Proto: "udp", Port: 9},
	}, plan.Ports)
	plan, err = planOf(t, "temp", `{"HostConfig":{"NetworkMode":"host","PortBindings":{"80/tcp":[{"HostPort":"80"}]}}}`)
	require.NoError(t, err, "manifests have both, and Docker ignores the ports")
	require.Empty(t, plan.Ports)
}

func TestNetworkOptionsThatCannotBeAreRefusedByName(t *testing.T) {
	for options, want := range map[string]string{
		`{"HostConfig":{"NetworkMode":"plant"}}`:                                                                 `unknown network "plant"`,
		`{"NetworkingConfig":{"EndpointsConfig":{"plant":{}}}}`:                                                  "azure-iot-edge",
		`{"NetworkingConfig":{"EndpointsConfig":{"bridge":{},"edged":{}}}}`:                                      "given twice",
		`{"HostConfig":{"NetworkMode":"edged"},"NetworkingConfig":{"EndpointsConfig":{"bridge":{},"edged":{}}}}`: "given twice",
		`{"HostConfig":{"NetworkMode":"container:"}}`:                                                            "NetworkMode",
		`{"HostConfig":{"NetworkMode":"container:x","PortBindings":{"1/tcp":[{}]}}}`:                             "NetworkMode",
		`{"HostConfig":{"NetworkMode":"none"},"NetworkingConfig":{"EndpointsConfig":{"edged":{}}}}`:              "EndpointsConfig",
		`{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"80"}],"81/tcp":[{"HostPort":"80"}]}}}`:            "given twice",
		`{"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"::","HostPort":"80"}]}}}`:                           "subnet6",
		`{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"90-80"}]}}}`:                                      "HostPort",
		`{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"99999"}]}}}`:                                      "HostPort",
		`{"HostConfig":{"PortBindings":{"80/icmp":[{"HostPort":"1"}]}}}`:                                         "PortBindings",
		`{"HostConfig":{"ExtraHosts":["a b:192.0.2.1"]}}`:                                                        "ExtraHosts",
		`{"HostConfig":{"ExtraHosts":["a:192.0.2.1\n127.0.0.1 b"]}}`:                                             "ExtraHosts",
		`{"HostConfig":{"ExtraHosts":["a"]}}`:                                                                    "ExtraHosts",
		`{"HostConfig":{"DnsSearch":["a b"]}}`:                                                                   "DnsSearch",
		`{"HostConfig":{"DnsOptions":["a\nnameserver 192.0.2.1"]}}`:                                              "DnsOptions",
		`{"HostConfig":{"Dns":["0.0.0.0"]}}`:                                                                     "Dns",
		`{"NetworkingConfig":{"EndpointsConfig":{"edged":{"Aliases":["a_b"]}}}}`:                                 "Aliases",
		`{"NetworkingConfig":{"EndpointsConfig":{"edged":{"Links":["x"]}}}}`:                                     "Links",
		`{"NetworkingConfig":{"EndpointsConfig":{"edged":{"DriverOpts":{"a":"b"}}}}}`:                            "DriverOpts",
		`{"NetworkingConfig":{"EndpointsConfig":{"edged":{"IPAMConfig":{"IPv4Address":"10.0.0.1"}}}}}`:           "IPv4Address",
		`{"NetworkingConfig":{"EndpointsConfig":{"edged":{"IPAMConfig":{"IPv4Address":"172.30.0.1"}}}}}`:         "IPv4Address",
		`{"NetworkingConfig":{"EndpointsConfig":{"edged":{"IPAMConfig":{"IPv6Address":"fd00::2"}}}}}`:            "IPv6Address",
		`{"NetworkingConfig":{"EndpointsConfig":{"edged":{"IPAMConfig":{"LinkLocalIPs":["169.254.1.1"]}}}}}`:     "LinkLocalIPs",
	} {
		_, err := planOf(t, "temp", options)
		require.True(t, errdefs.IsInvalidArgument(err), "%s: %v", options, err)
		require.ErrorContains(t, err, want, options)
	}
	_, err := planOf(t, "temp", `{"NetworkingConfig":{"EndpointsConfig":{"edged":{"Aliases":["localhost"]}}}}`)
	require.True(t, errdefs.IsConflict(err), "%v", err)
}

func TestNoModulePublishesPortsWithoutBound(t *testing.T) {
	const all = `{"HostConfig":{"PublishAllPorts":true}}`
	for what, ask := range map[string]func() error{
		"of an image": func() error { _, err := planOf(t, "temp", all, "1-65535/tcp", "1-65535/udp"); return err },
		"of options":  func() error { _, err := planOf(t, "temp", all, "1-200/tcp", "1-57/udp"); return err },
		"of one port": func() error {
			bindings := strings.Repeat(`{"HostPort":"1-2"},`, 256) + `{"HostPort":"3"}`
			_, err := planOf(t, "temp", `{"HostConfig":{"PortBindings":{"80/tcp":[`+bindings+`]}}}`)
			return err
		},
	} {
		err := ask()
		require.True(t, errdefs.IsInvalidArgument(err), "%s: %v", what, err)
		require.ErrorContains(t, err, "more than 256 ports", what)
	}
	plan, err := planOf(t, "temp", all, "1-200/tcp", "1-56/udp")
	require.NoError(t, err)
	require.Len(t, plan.Ports, network.MaxPorts)
	_, err = planOf(t, "temp", `{"HostConfig":{"NetworkMode":"host","PublishAllPorts":true}}`, "1-65535/tcp")
	require.NoError(t, err, "nothing is published there")
}
