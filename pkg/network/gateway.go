package network

import (
	"net/netip"
	"slices"
	"strings"
)

// aliasesFor are the aliases of a module's endpoint, for a hosts file to which its author
// adds extra. The hub has the gateway's name besides on the default network: modules are
// told it and nothing else of where the hub is. It gives way to every module that is called
// so, and to what extra says of the name. m.mu is held.
func (m *Manager) aliasesFor(extra []ExtraHost, module string, ep *Endpoint) []string {
	if module != m.Hub || ep.Network != DefaultNetwork || !m.gatewayIsFree() ||
		slices.ContainsFunc(extra, func(h ExtraHost) bool { return strings.EqualFold(h.Name, m.Gateway) }) {
		return ep.Aliases
	}
	return slices.Concat(ep.Aliases, []string{m.Gateway})
}

// gatewayIsFree says that there is a name of the gateway, no address, that means no module
// but the hub.
func (m *Manager) gatewayIsFree() bool {
	if _, err := netip.ParseAddr(m.Gateway); err == nil || m.Gateway == "" {
		return false
	}
	for _, rec := range m.records {
		if rec.Module == m.Hub || rec.Plan.Mode != ModeNetworks {
			continue
		}
		for _, ep := range rec.Plan.Endpoints {
			if slices.ContainsFunc(rec.Plan.names(rec.Module, ep.Aliases), func(n string) bool { return strings.EqualFold(n, m.Gateway) }) {
				return false
			}
		}
	}
	return true
}
