package engine

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/network"
)

// mostly draws what is good, and now and then what may be bad: of several fields together something has to be accepted.
func mostly(good, bad []any) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		if rapid.IntRange(0, 12).Draw(t, "bad?") == 7 {
			return rapid.SampledFrom(bad).Draw(t, "bad")
		}
		return rapid.SampledFrom(good).Draw(t, "good")
	})
}

var (
	drawnPorts     = mostly([]any{"80/tcp", "81", "53/udp"}, []any{"0/tcp", "80/icmp", "70000/tcp", "80-82/tcp", "x", "", "tcp/80"})
	drawnHostPorts = mostly([]any{"", "8080", "8080-8090", nil}, []any{"8090-8080", "0", "65536", "x", " 80", "-1", 80})
	drawnHostIPs   = mostly([]any{"", "127.0.0.1", "0.0.0.0", "192.0.2.1"}, []any{"::", "::1", "fe80::1%eth0", "x", "192.0.2.1\n", 5})
	drawnServers   = mostly([]any{"192.0.2.53", "2001:db8::53"}, []any{"", "0.0.0.0", "fe80::1%eth0", "x", "192.0.2.1\nnameserver 192.0.2.2", 5, nil})
	drawnExtra     = mostly([]any{"192.0.2.10", "host-gateway", "[::1]"}, []any{"", "x", "fe80::1%eth0", "192.0.2.1\n127.0.0.1 b"})
	drawnNames     = mostly([]any{"a", "a.b", "A-1"}, []any{"-a", "a_b", "a b", "localhost", "a\nb", "", ".", strings.Repeat("a", 64), 5, nil})
	drawnNetworks  = mostly([]any{"edged", "bridge", "azure-iot-edge"}, []any{"host", "none", "plant", "", "a/b"})
	drawnIPv4      = mostly([]any{"172.30.7.7", nil}, []any{"172.30.0.1", "172.30.255.255", "10.0.0.1", "::1", "x", 5})
	drawnMACs      = mostly([]any{"02:42:ac:1e:07:07", nil}, []any{"02:42", "x", 5})
	drawnTargets   = mostly([]any{"/a", "/a/b", "/c/"}, []any{"/", "/run", "/run/edged", "/dev/shm", "relative", "", "/a/../run/edged"})
	drawnVolumes   = mostly([]any{"data", "more.data", ""}, []any{"/a", "../a", "a b", ".", "a\x00", 5})
	drawnSubpaths  = mostly([]any{"", "a/b"}, []any{"../a", "/a", "a/../..", 5})
	drawnChecks    = mostly([]any{nil, []any{}, []any{"NONE"}, []any{"CMD", "/check"}, []any{"CMD-SHELL", "check"}}, []any{[]any{"NONE", "x"}, []any{"CMD"}, []any{"check"}, "check", 5})
	drawnDurations = mostly([]any{0, int64(time.Millisecond), int64(time.Hour), nil}, []any{-1, 999, 1.5, "1s"})
)

// generatedNetwork draws createOptions of networks, ports, names, volumes and health.
func generatedNetwork(t *rapid.T) map[string]any {
	host := map[string]any{}
	top := map[string]any{"HostConfig": host}
	maybe := func(into map[string]any, name string, value func() any) {
		if rapid.Bool().Draw(t, name+"?") {
			into[name] = value()
		}
	}
	maybe(host, "NetworkMode", func() any { return drawnNetworks.Draw(t, "mode") })
	maybe(host, "PortBindings", func() any {
		ports := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "ports") {
			ports[fmt.Sprint(drawnPorts.Draw(t, "port"))] = []any{map[string]any{"HostIp": drawnHostIPs.Draw(t, "host ip"), "HostPort": drawnHostPorts.Draw(t, "host port")}}
		}
		return ports
	})
	maybe(host, "PublishAllPorts", func() any { return rapid.Bool().Draw(t, "publish all") })
	maybe(top, "ExposedPorts", func() any {
		return map[string]any{fmt.Sprint(drawnPorts.Draw(t, "exposed")): map[string]any{}}
	})
	maybe(host, "ExtraHosts", func() any {
		return []any{fmt.Sprint(drawnNames.Draw(t, "extra host"), mostly([]any{":", "="}, []any{"", " "}).Draw(t, "separator"), drawnExtra.Draw(t, "extra address"))}
	})
	maybe(host, "Dns", func() any { return []any{drawnServers.Draw(t, "server")} })
	maybe(host, "DnsSearch", func() any { return []any{drawnNames.Draw(t, "search")} })
	maybe(host, "DnsOptions", func() any { return []any{mostly([]any{"ndots:2"}, []any{"a b", "a\nb", "", 5}).Draw(t, "option")} })
	maybe(top, "NetworkingConfig", func() any {
		all := map[string]any{}
		for range rapid.IntRange(0, 2).Draw(t, "endpoints") {
			settings := map[string]any{}
			maybe(settings, "Aliases", func() any { return []any{drawnNames.Draw(t, "alias")} })
			maybe(settings, "IPAMConfig", func() any { return map[string]any{"IPv4Address": drawnIPv4.Draw(t, "ipv4")} })
			maybe(settings, "MacAddress", func() any { return drawnMACs.Draw(t, "mac") })
			all[fmt.Sprint(drawnNetworks.Draw(t, "network"))] = settings
		}
		return map[string]any{"EndpointsConfig": all}
	})
	maybe(top, "Volumes", func() any { return map[string]any{fmt.Sprint(drawnTargets.Draw(t, "volume")): map[string]any{}} })
	maybe(host, "Mounts", func() any {
		return []any{map[string]any{
			"Type": "volume", "Source": drawnVolumes.Draw(t, "name"), "Target": drawnTargets.Draw(t, "target"),
			"VolumeOptions": map[string]any{"Subpath": drawnSubpaths.Draw(t, "subpath"), "NoCopy": rapid.Bool().Draw(t, "no copy")},
		}}
	})
	maybe(top, "Healthcheck", func() any {
		return map[string]any{"Test": drawnChecks.Draw(t, "test"), "Interval": drawnDurations.Draw(t, "interval"), "Retries": mostly([]any{0, 3}, []any{-1, "3"}).Draw(t, "retries")}
	})
	return top
}

func TestNetworksVolumesAndHealthLeaveNoTraceWhenRefusedAndAreThereWhenAccepted(t *testing.T) {
	e, dir := engineIn(t)
	before := tree(t, dir)
	accepted := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		raw, err := json.Marshal(generatedNetwork(t))
		require.NoError(t, err)
		spec := specWith(string(raw))
		_, err = e.Check(spec)
		require.Equal(t, before, tree(t, dir), "a check makes nothing")
		if err != nil {
			require.True(t, errdefs.IsInvalidArgument(err) || errdefs.IsConflict(err), "%v", err)
			require.Regexp(t, `createOptions|duplicate mount point`, err.Error(), "what to mend is named")
			return
		}
		s, err := specFor(e, spec)
		require.NoError(t, err, "what was checked can be made: %s", raw)
		o, _, err := parseOptions(raw)
		require.NoError(t, err)
		requireNetwork(t, e, spec, o, accepted)
		for dst := range o.Volumes {
			accepted["volume"]++
			require.True(t, mounted(s, dst), "%s is a mount", dst)
		}
		for _, m := range o.HostConfig.Mounts {
			accepted["mount"]++
			require.True(t, mounted(s, m.Target), "%s is a mount", m.Target)
		}
		checked := o.Healthcheck != nil && len(o.Healthcheck.Test) > 1
		require.Equal(t, checked, s.Annotations[annotationHealth] != "")
		if checked {
			accepted["check"]++
		}
	})
	for _, what := range []string{"network", "port", "extra host", "server", "volume", "mount", "check"} {
		require.Positive(t, accepted[what], "some %s is good", what)
	}
}

func mounted(s *oci.Spec, target string) bool {
	return slices.ContainsFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == filepath.Clean(target) })
}

// requireNetwork finds what was accepted of the network in the plan that a start goes by.
func requireNetwork(t *rapid.T, e *Engine, spec *module.Spec, o *options, accepted map[string]int) {
	plan, err := e.networkPlan(spec, o, nil)
	require.NoError(t, err)
	text, err := encodePlan(plan)
	require.NoError(t, err)
	require.NotContains(t, string(text.Value), `\n`, "nothing in hosts or resolv.conf would be a line of its own")
	require.Equal(t, plan.Mode == network.ModeNetworks, len(plan.Endpoints) > 0)
	require.Len(t, plan.ExtraHosts, len(o.HostConfig.ExtraHosts))
	require.Equal(t, o.HostConfig.DNS, plan.DNS)
	require.Equal(t, o.HostConfig.DNSSearch, plan.Search)
	require.Equal(t, o.HostConfig.DNSOptions, plan.Options)
	accepted["network"] += len(o.NetworkingConfig.EndpointsConfig)
	accepted["extra host"] += len(plan.ExtraHosts)
	accepted["server"] += len(plan.DNS)
	accepted["port"] += len(plan.Ports)
	for port := range o.HostConfig.PortBindings {
		require.Equal(t, plan.Mode == network.ModeNetworks, slices.ContainsFunc(plan.Ports, func(p network.Port) bool {
			return p.Port == port.Num() && p.Proto == string(port.Proto())
		}), "%s is published where there is a network", port)
	}
}
