package device

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/network/netns"
)

// Addresses of a device with Options.Network. It is in a network namespace of its own,
// with eth0 on a line to a neighbour, which is in another one: whatever edged does to
// interfaces, sysctls and the packet filter, the machine of the tests never sees it.
const (
	HostAddress      = "192.0.2.2"
	NeighbourAddress = "192.0.2.1"
	HostMTU          = 1400
)

// hostNetNS ends the names of the device's own namespaces, which outlive its reboots.
const hostNetNS = ".hostns"

func (d *Device) nsFile() string        { return filepath.Join(d.Root, "own"+hostNetNS) }
func (d *Device) neighbourFile() string { return filepath.Join(d.Root, "neighbour"+hostNetNS) }

// NetNS is the file of the device's own network namespace.
func (d *Device) NetNS() string { return d.nsFile() }

// Bridge is the name of the default network's interface: one of the device's own, in
// case that a test runs without a network namespace for it.
func (d *Device) Bridge() string { return "e" + filepath.Base(d.Root) }

// ConfDir is where the operator's conflists are.
func (d *Device) ConfDir() string { return filepath.Join(d.Root, "net.d") }

func (d *Device) makeNetwork() {
	for _, file := range []string{d.nsFile(), d.neighbourFile()} {
		require.NoError(d.tb, os.WriteFile(file, nil, 0o600))
		d.command("unshare", "--net="+file, "true")
	}
	d.Ip("link", "set", "lo", "up")
	d.Ip("link", "add", "eth0", "mtu", fmt.Sprint(HostMTU), "type", "veth", "peer", "name", "eth0", "netns", d.neighbourFile())
	d.Ip("addr", "add", HostAddress+"/24", "dev", "eth0")
	d.Ip("addr", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
	d.Ip("link", "set", "eth0", "up")
	d.command("nsenter", "--net="+d.neighbourFile(), "sh", "-c", "ip addr add "+NeighbourAddress+"/24 dev eth0; ip addr add 2001:db8::1/64 dev eth0 nodad; ip link set lo up; ip link set eth0 up")
	d.Ip("route", "add", "default", "via", NeighbourAddress)
}

// removeNetwork lets the namespaces go, and with them all that is in them.
func (d *Device) removeNetwork() {
	if d.opt.Network {
		_ = unix.Unmount(d.nsFile(), unix.MNT_DETACH)
		_ = unix.Unmount(d.neighbourFile(), unix.MNT_DETACH)
	}
}

// resetNetwork is what a reboot does: the packet filter is empty, what edged made is gone.
func (d *Device) resetNetwork() {
	if !d.opt.Network {
		return
	}
	d.InHost("sh", "-c", "ip link delete "+d.Bridge()+" 2>/dev/null; for p in iptables ip6tables; do for t in raw filter nat; do $p -w -t $t -F; $p -w -t $t -X; done; done")
}

func (d *Device) command(name string, args ...string) string {
	d.tb.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(d.tb, err, "%s %s: %s", name, strings.Join(args, " "), out)
	return string(out)
}

// Ip runs ip(8) on the device.
func (d *Device) Ip(args ...string) string {
	d.tb.Helper()
	return d.InHost("ip", args...)
}

// InHost runs a program of the machine in the device's network.
func (d *Device) InHost(name string, args ...string) string {
	d.tb.Helper()
	return d.command("nsenter", append([]string{"--net=" + d.nsFile(), name}, args...)...)
}

// start starts a daemon, in the device's network.
func (d *Device) start(log string, env []string, files []*os.File, name string, args ...string) *Process {
	if d.opt.Network {
		name, args = "nsenter", append([]string{"--net=" + d.nsFile(), name}, args...)
	}
	return start(d.tb, filepath.Join(d.Root, log), env, files, name, args...)
}

// Dial connects from the device's own network.
func (d *Device) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialIn(ctx, d.nsFile(), network, address)
}

// DialNeighbour connects from the machine beside the device.
func (d *Device) DialNeighbour(ctx context.Context, network, address string) (net.Conn, error) {
	return dialIn(ctx, d.neighbourFile(), network, address)
}

// Listen listens in the device's own network.
func (d *Device) Listen(network, address string) (l net.Listener, err error) {
	inside(d.nsFile(), func() { l, err = net.Listen(network, address) })
	return l, err
}

func dialIn(ctx context.Context, ns, network, address string) (c net.Conn, err error) {
	// An address that has to be looked up, or two families, would make another goroutine dial.
	inside(ns, func() { c, err = (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, network, address) })
	return c, err
}

// inside runs f in a network namespace.
func inside(ns string, f func()) {
	if err := netns.Inside(ns, func() error { f(); return nil }); err != nil {
		panic(err)
	}
}

// NetworkTraces lists what there is of modules' networks, beside the network itself:
// namespaces, edged's and CNI's notes, interfaces, and rules of published ports.
func (d *Device) NetworkTraces() []string {
	d.tb.Helper()
	return strings.Fields(d.InHost("sh", "-c", `
		cd `+d.Run+`; for f in netns network cni; do [ -d $f ] && find $f -type f ! -name 'last_reserved_ip*' ! -name lock; done
		ip -o link show type veth | cut -d: -f2 | grep -v eth0
		iptables-save | grep -o 'to-destination.*' | tr ' ' =
		true`))
}

// HostClient is an HTTP client in the device's own network, without kept connections.
func (d *Device) HostClient() *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: d.Dial}}
}

// In runs a program of the machine in the network namespace of a file.
func (d *Device) In(ns, name string, args ...string) string {
	d.tb.Helper()
	return d.command("nsenter", append([]string{"--net=" + ns, name}, args...)...)
}

// InNeighbour runs a program of the machine in the neighbour's network.
func (d *Device) InNeighbour(name string, args ...string) string {
	d.tb.Helper()
	return d.In(d.neighbourFile(), name, args...)
}

// ListenNeighbour listens on the machine beside the device.
func (d *Device) ListenNeighbour(network, address string) (l net.Listener) {
	d.tb.Helper()
	var err error
	inside(d.neighbourFile(), func() { l, err = net.Listen(network, address) })
	require.NoError(d.tb, err)
	return l
}

// PacketNeighbour takes datagrams on the machine beside the device.
func (d *Device) PacketNeighbour(network, address string) (c net.PacketConn) {
	d.tb.Helper()
	var err error
	inside(d.neighbourFile(), func() { c, err = net.ListenPacket(network, address) })
	require.NoError(d.tb, err)
	return c
}
