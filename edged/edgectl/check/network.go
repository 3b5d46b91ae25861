package check

import (
	"context"
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
