package network

import (
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"
)

// Canonical returns the name under which a network is kept: the default one has
// several. The error is errdefs.InvalidArgument and lists what is known.
func (m *Manager) Canonical(name string) (string, error) {
	c, err := m.list(name)
	if err != nil {
		return "", err
	}
	return c.name, nil
}

// list finds a network. The folder is read again before one is said to be unknown.
func (m *Manager) list(name string) (*conflist, error) {
	for _, alias := range defaultAliases {
		if name == alias {
			name = DefaultNetwork
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lists[name] == nil {
		m.loadLists()
	}
	if c := m.lists[name]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("unknown network %q in createOptions.HostConfig.NetworkMode or NetworkingConfig: there are %s (the operator's are in %s): %w",
		name, m.lists.known(), m.ConfDir, errdefs.ErrInvalidArgument)
}

// Check refuses what a plan alone shows to be impossible on this device. Errors are
// errdefs.InvalidArgument, and errdefs.Conflict for an alias that means another.
func (m *Manager) Check(plan *Plan) error {
	if err := checkPorts(plan.Ports); err != nil {
		return err
	}
	seen := map[string]bool{}
	var publisher *conflist // the first that can
	for _, ep := range plan.Endpoints {
		c, err := m.list(ep.Network)
		if err != nil {
			return err
		}
		if seen[c.name] {
			return fmt.Errorf("invalid createOptions.NetworkingConfig.EndpointsConfig: network %q is given twice: %w", c.name, errdefs.ErrInvalidArgument)
		}
		seen[c.name] = true
		if c.publishes && publisher == nil {
			publisher = c
		}
		if err := m.checkEndpoint(c, &ep); err != nil {
			return err
		}
	}
	if plan.Mode == ModeNetworks && len(plan.Ports) > 0 && publisher == nil {
		return fmt.Errorf("createOptions.HostConfig.PortBindings: none of the module's networks can publish ports (no plugin with the capability portMappings): %w", errdefs.ErrInvalidArgument)
	}
	if publisher == nil || !publisher.builtin {
		return nil
	}
	for _, p := range plan.Ports {
		why := ""
		switch {
		case !p.HostIP.Is6():
		case !m.Subnet6.IsValid():
			why = fmt.Sprintf("network %q has no IPv6 ([network] subnet6)", publisher.name)
		case p.HostIP.IsLoopback():
			why = "the kernel leads nothing from ::1 to another interface; programs on this host reach 127.0.0.1"
		}
		if why != "" {
			return fmt.Errorf("createOptions.HostConfig.PortBindings: port %d/%s on %s leads nowhere: %s: %w", p.Port, p.Proto, p.HostIP, why, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

func (m *Manager) checkEndpoint(c *conflist, ep *Endpoint) error {
	at := fmt.Sprintf("createOptions.NetworkingConfig.EndpointsConfig[%q].", ep.Network)
	for _, alias := range ep.Aliases {
		if reservedName(alias) {
			return fmt.Errorf("%sAliases: %q means the module itself everywhere: %w", at, alias, errdefs.ErrConflict)
		}
		if !ValidName(alias) {
			return fmt.Errorf("invalid %sAliases: %q is no DNS name: %w", at, alias, errdefs.ErrInvalidArgument)
		}
	}
	if ep.MAC != "" && !c.takesMAC {
		return fmt.Errorf("%sMacAddress: network %q takes none (no plugin with the capability mac): %w", at, c.name, errdefs.ErrInvalidArgument)
	}
	for _, f := range []struct {
		field string
		addr  netip.Addr
		pool  pool
	}{{"IPv4Address", ep.IPv4, pool{subnet: m.Subnet}}, {"IPv6Address", ep.IPv6, pool{subnet: m.Subnet6}}} {
		switch {
		case !f.addr.IsValid():
		case !c.takesIPs:
			return fmt.Errorf("%sIPAMConfig.%s: network %q takes none (no plugin with the capability ips): %w", at, f.field, c.name, errdefs.ErrInvalidArgument)
		case c.builtin && !f.pool.subnet.IsValid():
			return fmt.Errorf("%sIPAMConfig.%s: network %q has no IPv6 ([network] subnet6): %w", at, f.field, c.name, errdefs.ErrInvalidArgument)
		case c.builtin && !f.pool.usable(f.addr):
			return fmt.Errorf("%sIPAMConfig.%s %s is not for modules of network %q, %s: %w", at, f.field, f.addr, c.name, f.pool.subnet, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}
