package network

import (
	"context"
	"slices"
)

// Settle gives back the static addresses and the chosen host ports that no generation
// of a module wants any more; call it when a container was removed. An address that
// edged gave stays the module's until it is deleted. plans returns those of the module's
// generations that are left. Errors are its own and the store's.
func (m *Manager) Settle(ctx context.Context, key string, plans func(module string) ([]Plan, error)) error {
	module := ""
	m.mu.Lock()
	for _, rec := range m.records {
		if rec.Key == key {
			module = rec.Module
		}
	}
	m.mu.Unlock()
	if module == "" {
		return nil
	}
	left, err := plans(module)
	if err != nil || len(left) == 0 {
		return err // nothing left: the module is being deleted
	}
	if !m.settle(module, left) {
		return nil
	}
	return m.saveRecord(ctx, module)
}

func (m *Manager) settle(module string, left []Plan) (changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.records[module]
	if before == nil {
		return false
	}
	rec := before.clone()
	if len(left) == 1 && !samePlan(&rec.Plan, &left[0]) {
		// An update of a module that does not run: its plan is in force without a start.
		rec.Plan, changed = left[0], true
	}
	rec.Leases = slices.DeleteFunc(rec.Leases, func(l Lease) bool { return l.Static && !wanted(left, l.wantedBy) })
	rec.Ports = slices.DeleteFunc(rec.Ports, func(l PortLease) bool { return !wanted(left, l.wantedBy) })
	if changed || len(rec.Leases) != len(before.Leases) || len(rec.Ports) != len(before.Ports) {
		m.records[module] = rec
		return true
	}
	return false
}

func wanted(plans []Plan, by func(*Plan) bool) bool {
	return slices.ContainsFunc(plans, func(p Plan) bool { return by(&p) })
}

func (l Lease) wantedBy(p *Plan) bool {
	return slices.ContainsFunc(p.Endpoints, func(ep Endpoint) bool {
		return ep.Network == l.Network && (ep.IPv4 == l.Addr || ep.IPv6 == l.Addr)
	})
}

func (l PortLease) wantedBy(p *Plan) bool { return slices.Contains(p.Ports, l.Port) }
