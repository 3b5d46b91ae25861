package network

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// defaultMTU is Ethernet's, where no route says otherwise.
const defaultMTU = 1500

// hostMTU is the MTU of the interface of the default route: a module's larger packets
// would be lost on the way.
func hostMTU() int {
	text, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return defaultMTU
	}
	link, err := net.InterfaceByName(defaultRoute(string(text)))
	if err != nil || link.MTU < 576 || link.MTU > 65535 {
		return defaultMTU
	}
	return link.MTU
}

// defaultRoute finds the interface of the default route in a /proc/net/route.
func defaultRoute(text string) string {
	best, name := -1, ""
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		// Iface Destination Gateway Flags RefCnt Use Metric Mask ...
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		if metric, err := strconv.Atoi(f[6]); err == nil && (best < 0 || metric < best) {
			best, name = metric, f[0]
		}
	}
	return name
}

// bridgePorts counts the interfaces of a bridge (rtnetlink(7), IFLA_MASTER); there is
// false when there is no such interface.
func bridgePorts(name string) (n int, there bool, err error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return 0, false, nil //nolint:nilerr // there is none
	}
	rib, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		return 0, true, fmt.Errorf("cannot list interfaces: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return 0, true, fmt.Errorf("cannot list interfaces: %w", err)
	}
	for i := range messages {
		if messages[i].Header.Type != syscall.RTM_NEWLINK {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(&messages[i])
		if err != nil {
			return 0, true, fmt.Errorf("cannot list interfaces: %w", err)
		}
		for _, a := range attributes {
			if a.Attr.Type == unix.IFLA_MASTER && len(a.Value) == 4 && int(binary.NativeEndian.Uint32(a.Value)) == link.Index {
				n++
			}
		}
	}
	return n, true, nil
}

// outbound is the address under which the host speaks to the world; without a route
// there is none. Nothing is sent.
func outbound() netip.Addr {
	c, err := net.Dial("udp4", "192.0.2.254:9") // of a network for documentation, RFC 5737
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// setSysctl writes a value where another one is.
func setSysctl(path, value string) error {
	have, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(have)) == value {
		return nil
	}
	return os.WriteFile(path, []byte(value), 0o644)
}
