package check

import (
	"context"
	"net/netip"
	"strings"
)

// ipForward is turned on by the network's plugin with the first module; what turns
// it off later is some other program's configuration.
func (d *device) ipForward(ctx context.Context) outcome {
	const file = "/proc/sys/net/ipv4/ip_forward"
	value := strings.TrimSpace(d.read(file))
	switch {
	case value == "1":
		return fine("%s is 1", file)
	case value == "":
		return skip("%s cannot be read", file)
	case d.asked != nil:
		return skip("it is off, and edged, which knows whether a module needs it, does not answer")
	}
	networks, err := d.Client.Networks(ctx)
	if err != nil {
		return skip("it is off, and edged cannot say whether a module needs it: %v", err)
	}
	for _, n := range networks {
		for _, m := range n.Modules {
			return bad("sysctl -w net.ipv4.ip_forward=1, and see who turns it off: grep -r ip_forward /etc/sysctl.conf /etc/sysctl.d",
				"%s is %s: module %s and all others on networks reach nothing beyond this device, and published ports lead nowhere", file, value, m.Name)
		}
	}
	return fine("it is off, and no module is on a network yet")
}

func (d *device) dns(context.Context) outcome {
	const cure = "name servers for modules: a nameserver in /etc/resolv.conf that is not on the loopback, or HostConfig.Dns in a module's createOptions"
	text := d.read("/etc/resolv.conf")
	usable, loopback := nameServers(text)
	if len(usable) == 0 && strings.Contains(text, "127.0.0.53") {
		// edged looks behind systemd-resolved's stub, and so does this.
		usable, _ = nameServers(d.read("/run/systemd/resolve/resolv.conf"))
	}
	switch {
	case len(usable) > 0:
		return fine("modules ask %s", strings.Join(usable, ", "))
	case loopback:
		return warn(cure, "the name servers of /etc/resolv.conf are on the host's loopback, which modules cannot reach")
	}
	return warn(cure, "/etc/resolv.conf names no server: modules find each other, and nobody else")
}

func nameServers(resolv string) (usable []string, loopback bool) {
	for line := range strings.Lines(resolv) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		a, err := netip.ParseAddr(f[1])
		switch {
		case err != nil || a.Zone() != "" || a.IsLinkLocalUnicast() || a.IsUnspecified():
		case a.Unmap().IsLoopback():
			loopback = true
		default:
			usable = append(usable, f[1])
		}
	}
	return usable, loopback
}
