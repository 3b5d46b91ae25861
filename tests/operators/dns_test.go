package operators

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/edged/edged/tests/device"
	"github.com/edged/edged/tests/device/names"
)

// serveNames is a name server on the machine beside the device that knows one host.
func (o *operator) serveNames(host string) {
	o.t.Cleanup(names.Serve(o.PacketNeighbour("udp", device.NeighbourAddress+":53"), func(name string) (dnsmessage.RCode, bool) {
		if name == host {
			return dnsmessage.RCodeSuccess, true
		}
		return dnsmessage.RCodeNameError, true
	}))
}

// TestTheChecksOfTheNetworkLookFromInsideOfAModule at a device with a line of its own.
func TestTheChecksOfTheNetworkLookFromInsideOfAModule(t *testing.T) {
	o := &operator{device.New(t, device.Options{Packaged: true, Network: true, Config: "[device]\nhub = \"hub.example\"\n"}), t}
	o.serveNames("hub.example")
	manifest := o.manifest(`"pump":{"imagePullPolicy":"never","settings":{"image":"` + device.Image + `","createOptions":"{\"Cmd\":[\"sleep\"],\"HostConfig\":{\"Dns\":[\"` + device.NeighbourAddress + `\"]},\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"exit 0\"],\"Interval\":200000000}}"}}`)
	o.apply(0, manifest)
	require.Equal(t, finding{ID: "dns", Status: "ok", Found: device.NeighbourAddress + " answers from inside of module pump"}, o.check("dns")["dns"])
	require.Equal(t, "ok", o.check("ip-forward")["ip-forward"].Status)

	// What the operator forbids modules is what they find closed.
	rule := []string{"EDGED-USER-" + o.Bridge(), "-p", "udp", "--dport", "53", "-j", "DROP"}
	o.InHost("iptables", append([]string{"-w", "-A"}, rule...)...)
	got := o.check("dns")["dns"]
	require.Equal(t, "error", got.Status, got)
	require.Contains(t, got.Found, "from inside of module pump no name server answers ("+device.NeighbourAddress+": nothing within 4s), though it does from the host")
	require.Contains(t, got.Cure, rule[0])
	o.InHost("iptables", append([]string{"-w", "-D"}, rule...)...)
	require.Equal(t, "ok", o.check("dns")["dns"].Status)

	o.InHost("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
	require.Equal(t, "error", o.check("ip-forward")["ip-forward"].Status)
	require.Equal(t, "error", o.check("dns")["dns"].Status)
}
