package network

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"
)

// Prepare gives a module that is being made its addresses and ports and writes them
// down; the first generation's interfaces are made beside the caller's further work.
// What another generation runs with is not touched. Errors: InvalidArgument, Conflict
// (an address or a name is another module's), ResourceExhausted, and the store's.
func (m *Manager) Prepare(ctx context.Context, in Instance, plan *Plan) error {
	if plan.Mode != ModeNetworks {
		return nil // nothing of its own
	}
	for _, ep := range plan.Endpoints {
		for _, alias := range ep.Aliases {
			taken, err := m.Store.NameTaken(ctx, alias, in.Module)
			if err != nil {
				return err
			}
			if taken {
				return fmt.Errorf("createOptions.NetworkingConfig.EndpointsConfig[%q].Aliases: %q is another module's name: %w", ep.Network, alias, errdefs.ErrConflict)
			}
		}
	}
	if err := m.enrol(ctx, in, plan, false); err != nil {
		return err
	}
	m.goes(func() { m.attachAhead(in) })
	return nil
}

// enrol brings a module's record to what a plan needs; start makes the plan the one
// in force.
func (m *Manager) enrol(ctx context.Context, in Instance, plan *Plan, start bool) error {
	m.mu.Lock()
	before := m.records[in.Module]
	rec := &Record{Module: in.Module, Key: in.Key, Plan: *plan}
	changed := true
	if before != nil {
		rec = before.clone()
		rec.Key = in.Key
		changed = start && !samePlan(&rec.Plan, plan)
		if start {
			rec.Plan = *plan
		}
	}
	given, err := m.allocate(rec, plan)
	if err != nil || !given && !changed {
		m.mu.Unlock()
		return err
	}
	m.records[in.Module] = rec // from here on nobody else is given the same
	m.mu.Unlock()
	if err := m.saveRecord(ctx, in.Module); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.records[in.Module] == rec {
			if m.records[in.Module] = before; before == nil {
				delete(m.records, in.Module)
			}
		}
		return err
	}
	return nil
}

// allocate gives a record the leases that a plan needs; m.mu is held.
func (m *Manager) allocate(rec *Record, plan *Plan) (changed bool, err error) {
	for _, ep := range plan.Endpoints {
		c := m.lists[ep.Network]
		if c == nil {
			continue // its conflist is away: the start says so
		}
		for i, want := range []netip.Addr{ep.IPv4, ep.IPv6} {
			p := &m.pools[i]
			if c.builtin && p.subnet.IsValid() && m.dropForeign(rec, c.name, p) {
				changed = true
			}
			if _, ok := rec.lease(c.name, want, i == 1); ok {
				continue
			}
			var given netip.Addr
			switch {
			case want.IsValid():
				if who := m.holderOf(c.name, want, rec.Module); who != "" {
					return false, fmt.Errorf("createOptions.NetworkingConfig.EndpointsConfig[%q].IPAMConfig: address %s is module %q's: %w", ep.Network, want, who, errdefs.ErrConflict)
				}
				given = want
			case c.builtin && p.subnet.IsValid():
				if given, err = p.next(func(a netip.Addr) bool { return m.holderOf(c.name, a, "") != "" }); err != nil {
					return false, err
				}
			default:
				continue // the plugins give it
			}
			rec.Leases = append(rec.Leases, Lease{c.name, given, want.IsValid()})
			changed = true
		}
	}
	var taken takenPorts
	for _, p := range plan.Ports {
		if p.fixed() || rec.hostPort(p) != 0 {
			continue
		}
		if taken == nil {
			taken = m.takenPorts(rec)
		}
		host, err := m.choosePort(p, taken)
		if err != nil {
			return false, err
		}
		rec.Ports = append(rec.Ports, PortLease{p, host})
		changed = true
	}
	return changed, nil
}

// dropForeign forgets leases of a subnet that the configuration has changed.
func (m *Manager) dropForeign(rec *Record, network string, p *pool) bool {
	n := len(rec.Leases)
	rec.Leases = slices.DeleteFunc(rec.Leases, func(l Lease) bool {
		return l.Network == network && l.Addr.Is6() == p.subnet.Addr().Is6() && !p.usable(l.Addr)
	})
	return len(rec.Leases) != n
}

// holderOf names the module that has an address, besides one; m.mu is held. What is
// attached counts too, also of modules that are gone and not yet cleaned up after.
func (m *Manager) holderOf(network string, a netip.Addr, besides string) string {
	for _, r := range m.records {
		if r.Module != besides && slices.ContainsFunc(r.Leases, func(l Lease) bool { return l.Network == network && l.Addr == a }) {
			return r.Module
		}
	}
	for _, st := range m.present {
		if st.Module == besides {
			continue
		}
		for _, at := range st.Attached {
			if at.Network == network && slices.ContainsFunc(at.Addrs, func(p netip.Prefix) bool { return p.Addr() == a }) {
				return st.Module
			}
		}
	}
	return ""
}
