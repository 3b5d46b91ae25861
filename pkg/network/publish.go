package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// publish takes the host ports of a plan and leads them to the module. A port that was
// chosen by edged and is somebody else's now is chosen anew: nobody asked for that number.
func (m *Manager) publish(ctx context.Context, in Instance, plan *Plan) error {
	m.unpublish(in.Key)
	if len(plan.Ports) == 0 {
		return nil
	}
	m.mu.Lock()
	rec := m.records[in.Module]
	if rec == nil {
		m.mu.Unlock()
		return fmt.Errorf("module %q is being deleted: %w", in.Module, errdefs.ErrNotFound)
	}
	rec = rec.clone()
	c, chosen, err := m.claimPorts(rec, plan)
	if err == nil {
		m.claims[in.Key] = c
		m.records[in.Module] = rec
	}
	m.mu.Unlock()
	if err == nil && chosen {
		err = m.saveRecord(ctx, in.Module)
	}
	if err == nil {
		err = m.applyFilter(ctx)
	}
	if err == nil && m.leadsToBridge(in.Key) {
		err = m.routeLocalnet()
	}
	if err != nil {
		m.unpublish(in.Key)
		m.refilter()
		return err
	}
	return nil
}

// claimPorts reserves all ports or none; m.mu is held.
func (m *Manager) claimPorts(rec *Record, plan *Plan) (_ *claim, chosen bool, err error) {
	c := &claim{module: rec.Module}
	defer func() {
		if err != nil {
			c.held.close()
		}
	}()
	for _, p := range plan.Ports {
		host := rec.hostPort(p)
		err := m.claimPort(c, p, host)
		if err != nil && !p.fixed() {
			m.Log.WithField("module", rec.Module).Warnf("published port %d/%s was at host port %d, which is taken: it is published at another", p.Port, p.Proto, host)
			for i, l := range rec.Ports {
				if l.Port == p {
					rec.Ports = append(rec.Ports[:i:i], rec.Ports[i+1:]...)
					break
				}
			}
			if host, err = m.choosePort(p, m.takenPorts(rec)); err == nil {
				rec.Ports, chosen = append(rec.Ports, PortLease{p, host}), true
				err = m.claimPort(c, p, host)
			}
		}
		if err != nil {
			return nil, false, err
		}
	}
	return c, chosen, nil
}

// claimPort reserves one; m.mu is held. The error is errdefs.Conflict and names the holder.
func (m *Manager) claimPort(c *claim, p Port, host uint16) error {
	for _, other := range m.claims {
		for _, q := range other.ports {
			if q.host == host && q.Proto == p.Proto && sameHost(p.HostIP, q.HostIP) {
				return fmt.Errorf("host port %d/%s is published by module %q: %w", host, p.Proto, other.module, errdefs.ErrConflict)
			}
		}
	}
	held, _, err := reservePort(p, host, m.Subnet6.IsValid())
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		who := holder("/proc", p.Proto, host)
		if who == "" {
			who = "another program"
		}
		return fmt.Errorf("host port %d/%s is taken by %s: %w", host, p.Proto, who, errdefs.ErrConflict)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("cannot publish on %s: it is no address of this host: %w", p.HostIP, errdefs.ErrConflict)
	case err != nil:
		return fmt.Errorf("cannot reserve host port %d/%s: %w: %w", host, p.Proto, err, errdefs.ErrUnavailable)
	}
	c.ports, c.held = append(c.ports, claimedPort{p, host}), append(c.held, held...)
	return nil
}

// unpublish gives a module's ports back; its rules go when the filter is next written.
func (m *Manager) unpublish(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.claims[key]; c != nil {
		c.held.close()
		delete(m.claims, key)
	}
}

// Ended says that a container's run is over: its ports are free again.
func (m *Manager) Ended(container string) {
	m.dismiss(container)
	m.mu.Lock()
	var st state
	for _, x := range m.present {
		if x.Up == container {
			st = *x
		}
	}
	if st.Key == "" {
		m.mu.Unlock()
		return
	}
	st.Up = ""
	m.present[st.Key] = &st
	m.mu.Unlock()
	m.unpublish(st.Key)
	m.refilter()
	m.warn(m.states.save(&st), "cannot note that a module's ports are free")
}

// Up lists the containers that are thought to run.
func (m *Manager) Up() (containers []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, st := range m.present {
		if st.Up != "" {
			containers = append(containers, st.Up)
		}
	}
	for container := range m.guests {
		containers = append(containers, container)
	}
	return containers
}

// applyFilter writes the packet filter. What is published is looked up under the
// filter's own lock, so that of two who come at once the later writes the newer.
func (m *Manager) applyFilter(ctx context.Context) error {
	return m.firewall.apply(ctx, m.published)
}

func (m *Manager) published() (all []published) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, c := range m.claims {
		at := m.publisher(key)
		if at == nil || !at.Builtin {
			continue // an operator's plugins see to it
		}
		for _, p := range c.ports {
			for _, v6 := range []bool{false, true} {
				to := at.addr(v6)
				if !to.IsValid() || p.HostIP.IsValid() && p.HostIP.Is6() != v6 {
					continue
				}
				all = append(all, published{proto: p.Proto, hostIP: p.HostIP, port: p.host, to: netip.AddrPortFrom(to, p.Port.Port)})
			}
		}
	}
	return all
}

// publisher is the interface to which a module's ports lead; m.mu is held.
func (m *Manager) publisher(key string) *attachment {
	st := m.present[key]
	if st == nil {
		return nil
	}
	for i := range st.Attached {
		a := &st.Attached[i]
		if c := m.lists[a.Network]; a.Builtin || c != nil && c.publishes {
			return a
		}
	}
	return nil
}

func (m *Manager) leadsToBridge(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.publisher(key)
	return at != nil && at.Builtin
}
