package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"
)

// Mode is whose network namespace a module runs in.
type Mode string

// The four modes. With ModeModule it is that of another module.
const (
	ModeNetworks Mode = "networks"
	ModeNone     Mode = "none"
	ModeHost     Mode = "host"
	ModeModule   Mode = "module"
)

// DefaultNetwork is the network of a module that asks for none.
const DefaultNetwork = "edged"

// Plan is what one generation of a module wishes of its network. It is written into
// the container's record, so that a start needs nothing but that.
type Plan struct {
	Mode Mode `json:"mode"`
	// Module is whose namespace ModeModule means.
	Module string `json:"module,omitempty"`
	// Endpoints are eth0, eth1, ...; of ModeNetworks alone.
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	Ports     []Port     `json:"ports,omitempty"`
	// Hostname and Domainname are DNS names; the second may be empty.
	Hostname   string      `json:"hostname"`
	Domainname string      `json:"domainname,omitempty"`
	ExtraHosts []ExtraHost `json:"extraHosts,omitempty"`
	// DNS, Search and Options replace those of the host where they are given.
	DNS     []netip.Addr `json:"dns,omitempty"`
	Search  []string     `json:"search,omitempty"`
	Options []string     `json:"options,omitempty"`
}

// Endpoint is the wish for one interface.
type Endpoint struct {
	// Network is canonical (see Manager.Canonical).
	Network string   `json:"network"`
	Aliases []string `json:"aliases,omitempty"`
	// IPv4 and IPv6 are static addresses, MAC a hardware address; zero: whatever comes.
	IPv4 netip.Addr `json:"ipv4,omitzero"`
	IPv6 netip.Addr `json:"ipv6,omitzero"`
	MAC  string     `json:"mac,omitempty"`
}

// Port is one published port.
type Port struct {
	// Proto is tcp, udp or sctp.
	Proto string `json:"proto"`
	// HostIP is where the host takes connections; zero is on every address.
	HostIP netip.Addr `json:"hostIP,omitzero"`
	// From and To bound the host's port; 0 is any of the kernel's range, chosen once.
	From uint16 `json:"from,omitempty"`
	To   uint16 `json:"to,omitempty"`
	// Port is the module's.
	Port uint16 `json:"port"`
}

// fixed says that the author named the port.
func (p Port) fixed() bool { return p.From != 0 && p.From == p.To }

// ExtraHost is a line for the hosts file; a zero Addr is the host's own address.
type ExtraHost struct {
	Name string     `json:"name"`
	Addr netip.Addr `json:"addr,omitzero"`
}

// sameHost says whether two addresses to listen on have one in common.
func sameHost(a, b netip.Addr) bool {
	any4 := func(x netip.Addr) bool { return !x.IsValid() || x == netip.IPv4Unspecified() }
	switch {
	case !a.IsValid() || !b.IsValid():
		return true
	case a.Is4() != b.Is4():
		return false
	}
	return a == b || any4(a) || any4(b) || a.IsUnspecified() || b.IsUnspecified()
}

// MaxPorts is how many ports a module may publish. Each costs sockets and a rule that
// every first packet is compared with; an image that exposes thousands means none of them.
const MaxPorts = 256

// TooManyPorts is the refusal of more, errdefs.InvalidArgument.
func TooManyPorts() error {
	return fmt.Errorf("createOptions.HostConfig.PortBindings and PublishAllPorts: more than %d ports would be published: %w", MaxPorts, errdefs.ErrInvalidArgument)
}

// checkPorts refuses what can never be published together. The error is
// errdefs.InvalidArgument.
func checkPorts(ports []Port) error {
	if len(ports) > MaxPorts {
		return TooManyPorts()
	}
	for i, p := range ports {
		for _, q := range ports[:i] {
			if p.fixed() && q.fixed() && p.Proto == q.Proto && p.From == q.From && sameHost(p.HostIP, q.HostIP) {
				return fmt.Errorf("invalid createOptions.HostConfig.PortBindings: host port %d/%s is given twice: %w", p.From, p.Proto, errdefs.ErrInvalidArgument)
			}
		}
	}
	return nil
}

// names are an endpoint's names of a module, the surest first: the hostname with its
// domain, where there is one, the hostname, the module's name and aliases. What means
// the module itself on every machine is none of them.
func (p *Plan) names(module string, aliases []string) []string {
	full := ""
	if p.Domainname != "" {
		full = p.Hostname + "." + p.Domainname
	}
	var all []string
	for _, name := range slices.Concat([]string{full, p.Hostname, module}, aliases) {
		if ValidName(name) && !reservedName(name) && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}
