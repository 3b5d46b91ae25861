package network

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/errdefs"
)

// Start makes a module's network be what its plan says and publishes its ports; it is
// called before each run, and has write put the container's files in place; what changes
// of them later is written when write is done. Where nothing has changed no plugin runs. Errors: Conflict
// (a port that another module or program has: nothing is started), Unavailable (a
// plugin failed or hung), InvalidArgument (the network is gone).
func (m *Manager) Start(ctx context.Context, in Instance, plan *Plan, write func(Files) error) error {
	began := time.Now()
	unlock, err := m.lock(ctx, in.Key)
	if err != nil {
		return err
	}
	defer unlock()
	if err := m.failedSince(in.Key, began); err != nil {
		return err
	}
	switch plan.Mode {
	case ModeNetworks:
		if err = m.enrol(ctx, in, plan, true); err == nil {
			err = m.up(ctx, in, plan)
		}
	case ModeModule:
		if err = m.join(ctx, in, plan.Module); err == nil {
			err = m.leave(ctx, in, plan)
		}
		if err == nil {
			err = m.receive(in.Container, plan)
		}
	default:
		err = m.leave(ctx, in, plan)
	}
	if err != nil {
		return err
	}
	// gofail: var networkBeforeTask struct{}
	m.rewriteHosts()
	// No newer text may come between the making and the writing of this one.
	m.hostsFiles.mu.Lock()
	defer m.hostsFiles.mu.Unlock()
	files, err := m.files(in.Module, plan)
	if err != nil {
		return err
	}
	return write(files)
}

// up attaches and publishes.
func (m *Manager) up(ctx context.Context, in Instance, plan *Plan) error {
	if err := m.ensure(ctx, in.Module, in.Key, plan); err != nil {
		return err
	}
	if err := m.publish(ctx, in, plan); err != nil {
		return err
	}
	m.mu.Lock()
	st := *m.present[in.Key]
	st.Up = in.Container
	m.present[in.Key] = &st
	m.mu.Unlock()
	return m.states.save(&st)
}

// leave ends what an earlier generation, with other wishes, had of its own.
func (m *Manager) leave(ctx context.Context, in Instance, plan *Plan) error {
	m.mu.Lock()
	st, rec := m.present[in.Key], m.records[in.Module]
	m.mu.Unlock()
	if st != nil {
		m.unpublish(in.Key)
		m.refilter()
		if err := m.tearDown(ctx, st); err != nil {
			return err
		}
	}
	if rec == nil || samePlan(&rec.Plan, plan) {
		return nil
	}
	return m.enrol(ctx, in, plan, true)
}

// join makes the namespace of another module be there, whether that module runs or not.
func (m *Manager) join(ctx context.Context, in Instance, module string) error {
	m.mu.Lock()
	other := m.records[module]
	m.mu.Unlock()
	if other == nil || other.Plan.Mode != ModeNetworks || module == in.Module {
		return fmt.Errorf("createOptions.HostConfig.NetworkMode \"container:%s\": there is no such module with a network of its own: %w", module, errdefs.ErrFailedPrecondition)
	}
	// No cycle of waiting: a module that is joined joins none.
	unlock, err := m.lock(ctx, other.Key)
	if err != nil {
		return err
	}
	defer unlock()
	return m.ensure(ctx, module, other.Key, &other.Plan)
}

// attachAhead makes the interfaces of a module that was just made. A failure is for
// the start to tell, which tries again.
func (m *Manager) attachAhead(in Instance) {
	unlock, err := m.lock(m.ctx, in.Key)
	if err != nil {
		return
	}
	defer unlock()
	m.mu.Lock()
	rec, st := m.records[in.Module], m.present[in.Key]
	m.mu.Unlock()
	if rec == nil || rec.Plan.Mode != ModeNetworks || st != nil && st.Up != "" {
		return
	}
	if err := m.ensure(m.ctx, in.Module, in.Key, &rec.Plan); err != nil {
		m.Log.WithError(err).WithField("module", in.Module).Warn("cannot attach a new module ahead; its start tries again")
		m.mu.Lock()
		m.failed[in.Key] = failure{time.Now(), err}
		m.mu.Unlock()
	}
}

// failedSince is the failure that somebody waited for: a plugin that hung then hangs
// again now.
func (m *Manager) failedSince(key string, began time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.failed[key]
	delete(m.failed, key)
	if f.at.After(began) {
		return f.err
	}
	return nil
}

// ensure makes a module's interfaces be those of the plan. The key's lock is held.
// What fails leaves nothing behind.
func (m *Manager) ensure(ctx context.Context, module, key string, plan *Plan) error {
	want, err := m.attachments(module, plan)
	if err != nil {
		return err
	}
	m.mu.Lock()
	have := m.present[key]
	m.mu.Unlock()
	ns, sum := m.NetNS(key), digest(want)
	if have != nil && have.Digest == sum && nsThere(ns) {
		return nil
	}
	if have != nil && len(have.Attached) > 0 {
		// The namespace stays: another module may be in it.
		if err := m.detach(ctx, have); err != nil {
			return err
		}
	}
	m.bridge.RLock()
	defer m.bridge.RUnlock()
	st := &state{Key: key, Module: module, Attached: want}
	if err := m.note(st); err != nil {
		return err
	}
	// gofail: var networkAfterState struct{}
	err = m.attach(ctx, st, ns)
	if err == nil {
		err = m.learn(ctx, module, st)
	}
	if err == nil {
		done := *st
		done.Digest = sum
		err = m.note(&done)
	}
	if err == nil {
		return nil
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), delTimeout)
	defer cancel()
	m.warn(m.tearDown(clean, st), "cannot undo a failed attachment; the next start will")
	return fmt.Errorf("cannot connect module %q: %w", module, err)
}

func (m *Manager) attach(ctx context.Context, st *state, ns string) error {
	if !nsThere(ns) {
		if err := makeNS(m.MountNS, ns); err != nil {
			return err
		}
	}
	// gofail: var networkAfterNamespace struct{}
	for i := range st.Attached {
		a := &st.Attached[i]
		if a.Builtin {
			// Before the first packet can pass.
			if err := m.applyFilter(ctx); err != nil {
				return err
			}
		}
		if err := m.plugins.add(ctx, st.Key, ns, a); err != nil {
			return err
		}
	}
	// gofail: var networkAfterAttach struct{}
	return nil
}

// note keeps a state in memory and in its file.
func (m *Manager) note(st *state) error {
	m.mu.Lock()
	m.present[st.Key] = st
	m.mu.Unlock()
	return m.states.save(st)
}

// learn keeps the addresses that an operator's plugins gave, to ask for them again.
func (m *Manager) learn(ctx context.Context, module string, st *state) error {
	m.mu.Lock()
	rec := m.records[module]
	if rec == nil {
		m.mu.Unlock()
		return fmt.Errorf("module %q is being deleted: %w", module, errdefs.ErrNotFound)
	}
	rec = rec.clone()
	changed := false
	for _, a := range st.Attached {
		if a.Builtin {
			continue
		}
		for _, p := range a.Addrs {
			own := func(l Lease) bool { return l.Network == a.Network && l.Addr.Is6() == p.Addr().Is6() }
			if slices.ContainsFunc(rec.Leases, func(l Lease) bool { return own(l) && l.Addr == p.Addr() }) {
				continue
			}
			rec.Leases = slices.DeleteFunc(rec.Leases, func(l Lease) bool { return own(l) && !l.Static })
			rec.Leases = append(rec.Leases, Lease{Network: a.Network, Addr: p.Addr()})
			changed = true
		}
	}
	if changed {
		m.records[module] = rec
	}
	m.mu.Unlock()
	if !changed {
		return nil
	}
	return m.saveRecord(ctx, module)
}

// attachments works out the interfaces of a plan.
func (m *Manager) attachments(module string, plan *Plan) ([]attachment, error) {
	mtu := hostMTU()
	var all []attachment
	published := false
	for i, ep := range plan.Endpoints {
		c, err := m.list(ep.Network)
		if err != nil {
			return nil, err
		}
		m.mu.Lock()
		rec := m.records[module]
		m.mu.Unlock()
		if rec == nil {
			return nil, fmt.Errorf("module %q is being deleted: %w", module, errdefs.ErrNotFound)
		}
		a := attachment{Network: c.name, Interface: fmt.Sprintf("eth%d", i), Config: c.text, MAC: ep.MAC, Builtin: c.builtin}
		if c.builtin {
			a.Config = builtinConf(m.Bridge, mtu, i == 0, m.Subnet6.IsValid())
		}
		for f, want := range []netip.Addr{ep.IPv4, ep.IPv6} {
			addr, ok := rec.lease(c.name, want, f == 1)
			switch {
			case !ok || !c.takesIPs:
			case c.builtin:
				a.IPs = append(a.IPs, prefix(addr, m.pools[f].subnet))
			default:
				a.IPs = append(a.IPs, netip.PrefixFrom(addr, addr.BitLen()))
			}
		}
		if c.publishes && !published {
			published = true
			if !c.builtin {
				a.Ports = mappings(rec, plan.Ports)
			}
		}
		all = append(all, a)
	}
	return all, nil
}

func mappings(rec *Record, ports []Port) (all []portMapping) {
	for _, p := range ports {
		mapping := portMapping{HostPort: int32(rec.hostPort(p)), ContainerPort: int32(p.Port), Protocol: p.Proto}
		if p.HostIP.IsValid() {
			mapping.HostIP = p.HostIP.String()
		}
		all = append(all, mapping)
	}
	return all
}

func samePlan(a, b *Plan) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// routeLocalnet lets the host's 127.0.0.1 reach a published port; see rules.
func (m *Manager) routeLocalnet() error {
	path := filepath.Join("/proc/sys/net/ipv4/conf", m.Bridge, "route_localnet")
	if err := m.MountNS.Run(func() error { return setSysctl(path, "1") }); err != nil {
		return fmt.Errorf("cannot publish ports on 127.0.0.1: %w", err)
	}
	return nil
}
