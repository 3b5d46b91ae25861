package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Files are the texts that a container needs to find others by name.
type Files struct {
	Hosts, Resolv []byte
}

// files makes them for a run that is about to begin.
func (m *Manager) files(module string, plan *Plan) (Files, error) {
	if plan.Mode == ModeHost {
		return hostFiles(plan)
	}
	v6 := m.Subnet6.IsValid() || plan.Mode == ModeNetworks && slices.ContainsFunc(plan.Endpoints, func(ep Endpoint) bool { return ep.Network != DefaultNetwork })
	r := resolv{}
	if plan.Mode != ModeNone {
		var err error
		if r, err = readResolv(hostResolv, resolvedFile, v6); err != nil {
			return Files{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return Files{Hosts: m.hosts(module, plan), Resolv: r.with(plan).render()}, nil
}

// hostFiles are copies of the host's own, for a module on its network.
func hostFiles(plan *Plan) (Files, error) {
	hosts, err := readBounded(hostHostsFile)
	if err != nil {
		return Files{}, err
	}
	for _, h := range plan.ExtraHosts {
		addr := h.Addr
		if !addr.IsValid() {
			addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		hosts += fmt.Sprintf("%s\t%s\n", addr, h.Name)
	}
	text, err := readBounded(hostResolv)
	if err != nil {
		return Files{}, err
	}
	if len(plan.DNS)+len(plan.Search)+len(plan.Options) == 0 {
		return Files{Hosts: []byte(hosts), Resolv: []byte(text)}, nil
	}
	r := parseResolv(text, true)
	if len(plan.DNS) == 0 {
		// The loopback is the module's, too.
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
				if a, err := netip.ParseAddr(f[1]); err == nil && a.IsLoopback() {
					r.servers = append(r.servers, a)
				}
			}
		}
	}
	return Files{Hosts: []byte(hosts), Resolv: r.with(plan).render()}, nil
}

// hosts makes a module's hosts file: itself, those with whom it shares a network, and
// what its author added; m.mu is held.
func (m *Manager) hosts(module string, plan *Plan) []byte {
	var lines []hostLine
	var host netip.Addr
	owner, net := module, plan
	if plan.Mode == ModeModule {
		if rec := m.records[plan.Module]; rec != nil {
			owner, net = plan.Module, &rec.Plan
		}
	}
	switch net.Mode {
	case ModeNetworks:
		lines, host = m.neighbours(owner, net, plan.ExtraHosts)
	default:
		lines = []hostLine{{netip.AddrFrom4([4]byte{127, 0, 1, 1}), plan.names(module, nil)}}
	}
	for _, h := range plan.ExtraHosts {
		addr := h.Addr
		if !addr.IsValid() {
			addr = host
		}
		lines = append(lines, hostLine{addr, []string{h.Name}})
	}
	return renderHosts(lines)
}

// neighbours are the lines of a module and of all that it shares a network with, for a
// hosts file to which its author adds extra, and the host's address as seen from it.
func (m *Manager) neighbours(module string, plan *Plan, extra []ExtraHost) (lines []hostLine, host netip.Addr) {
	own := m.records[module]
	if own == nil {
		return nil, host
	}
	for _, ep := range plan.Endpoints {
		called := plan.names(module, m.aliasesFor(extra, module, &ep))
		for f, want := range []netip.Addr{ep.IPv4, ep.IPv6} {
			if a, ok := own.lease(ep.Network, want, f == 1); ok {
				lines = append(lines, hostLine{a, called})
			}
		}
		if c := m.lists[ep.Network]; c != nil && c.builtin && !host.IsValid() {
			host = gateway(m.Subnet)
		}
	}
	if !host.IsValid() {
		host = outbound()
	}
	sorted := make([]*Record, 0, len(m.records))
	names := map[string]bool{}
	for _, rec := range m.records {
		if rec.Plan.Mode == ModeNetworks {
			sorted = append(sorted, rec)
			names[strings.ToLower(rec.Module)] = true
		}
	}
	slices.SortFunc(sorted, func(a, b *Record) int { return strings.Compare(a.Module, b.Module) })
	for _, rec := range sorted {
		if rec.Module == module {
			continue
		}
		for _, ep := range rec.Plan.Endpoints {
			if !slices.ContainsFunc(plan.Endpoints, func(mine Endpoint) bool { return mine.Network == ep.Network }) {
				continue
			}
			// A module's name is its own, whatever others call themselves.
			theirs := slices.DeleteFunc(rec.Plan.names(rec.Module, m.aliasesFor(extra, rec.Module, &ep)), func(n string) bool {
				return names[strings.ToLower(n)] && !strings.EqualFold(n, rec.Module)
			})
			for f, want := range []netip.Addr{ep.IPv4, ep.IPv6} {
				if a, ok := rec.lease(ep.Network, want, f == 1); ok {
					lines = append(lines, hostLine{a, theirs})
				}
			}
		}
	}
	return lines, host
}

// namesSum is a text of all names and addresses, to see whether any has changed.
func (m *Manager) namesSum() string {
	var parts []string
	for _, rec := range m.records {
		if rec.Plan.Mode == ModeNetworks {
			parts = append(parts, fmt.Sprintf("%q %q %q %v %v", rec.Module, rec.Plan.Hostname, rec.Plan.Domainname, rec.Plan.Endpoints, rec.Leases))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}
