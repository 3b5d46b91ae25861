package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Info is one network for people and programs.
type Info struct {
	Name string
	// Aliases are further names of it.
	Aliases []string
	// Driver is the type of its first plugin.
	Driver string
	// Subnets and Bridge are known of the default network alone.
	Subnets []netip.Prefix
	Bridge  string
	Modules []Member
}

// Member is a module's place on a network.
type Member struct {
	Module, Interface string
	// Addrs are the module's, whether it runs or not.
	Addrs []netip.Addr
	// Names are those by which its neighbours reach it.
	Names []string
	// Attached says that the interface is there; Running that a container uses it and its ports are published.
	Attached, Running bool
	Ports             []PublishedPort
}

// PublishedPort is a host port of a member.
type PublishedPort struct {
	HostIP   netip.Addr // zero: every address
	HostPort uint16
	Port     uint16
	Proto    string
}

// List returns all networks by name, with their modules by name.
func (m *Manager) List() []Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Info, 0, len(m.lists))
	for _, c := range m.lists {
		info := Info{Name: c.name, Driver: c.kind}
		if c.name == DefaultNetwork {
			info.Aliases = defaultAliases
		}
		if c.builtin {
			info.Bridge = m.Bridge
			for _, p := range m.pools {
				if p.subnet.IsValid() {
					info.Subnets = append(info.Subnets, p.subnet)
				}
			}
		}
		for _, rec := range m.records {
			if member, ok := m.member(rec, c); ok {
				info.Modules = append(info.Modules, member)
			}
		}
		slices.SortFunc(info.Modules, func(a, b Member) int { return strings.Compare(a.Module, b.Module) })
		all = append(all, info)
	}
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// member is a module's place on a network, if it has one; m.mu is held.
func (m *Manager) member(rec *Record, c *conflist) (Member, bool) {
	i := slices.IndexFunc(rec.Plan.Endpoints, func(ep Endpoint) bool { return ep.Network == c.name })
	if i < 0 || rec.Plan.Mode != ModeNetworks {
		return Member{}, false
	}
	ep := rec.Plan.Endpoints[i]
	member := Member{Module: rec.Module, Interface: fmt.Sprintf("eth%d", i), Names: rec.Plan.names(rec.Module, m.aliasesFor(rec.Plan.ExtraHosts, rec.Module, &ep))}
	for f, want := range []netip.Addr{ep.IPv4, ep.IPv6} {
		if a, ok := rec.lease(c.name, want, f == 1); ok {
			member.Addrs = append(member.Addrs, a)
		}
	}
	if st := m.present[rec.Key]; st != nil {
		member.Attached, member.Running = st.Digest != "", st.Up != ""
		if at := m.publisher(rec.Key); at == nil || at.Network != c.name {
			return member, true
		}
	} else if i > 0 {
		return member, true
	}
	for _, p := range rec.Plan.Ports {
		member.Ports = append(member.Ports, PublishedPort{HostIP: p.HostIP, HostPort: rec.hostPort(p), Port: p.Port, Proto: p.Proto})
	}
	return member, true
}
