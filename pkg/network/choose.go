package network

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// portKey is a host port of one protocol.
type portKey struct {
	proto string
	host  uint16
}

// takenPorts are the host ports that modules have or will want.
type takenPorts map[portKey]bool

// takenPorts lists them, with those of a record that is being changed; m.mu is held.
func (m *Manager) takenPorts(rec *Record) takenPorts {
	all := takenPorts{}
	add := func(r *Record) {
		for _, l := range r.Ports {
			all[portKey{l.Port.Proto, l.Host}] = true
		}
		for _, q := range r.Plan.Ports {
			if q.fixed() {
				all[portKey{q.Proto, q.From}] = true
			}
		}
	}
	for _, r := range m.records {
		if r.Module != rec.Module {
			add(r)
		}
	}
	add(rec)
	return all
}

// choosePort finds a host port that nobody has, in the wish's range or the kernel's,
// and counts it as taken; m.mu is held. The error is errdefs.Conflict.
func (m *Manager) choosePort(p Port, taken takenPorts) (uint16, error) {
	try := func(port uint16) (uint16, error) {
		if taken[portKey{p.Proto, port}] {
			return 0, unix.EADDRINUSE // no socket is needed to see that
		}
		held, host, err := reservePort(p, port, m.Subnet6.IsValid())
		if err != nil {
			return 0, err
		}
		held.close()
		if taken[portKey{p.Proto, host}] {
			return 0, unix.EADDRINUSE
		}
		taken[portKey{p.Proto, host}] = true
		return host, nil
	}
	var err error
	if p.From == 0 {
		for range 64 {
			var host uint16
			if host, err = try(0); err == nil {
				return host, nil
			}
			if !errors.Is(err, unix.EADDRINUSE) {
				break
			}
		}
	}
	for port := int(p.From); p.From != 0 && port <= int(p.To); port++ {
		var host uint16
		if host, err = try(uint16(port)); err == nil {
			return host, nil
		}
	}
	return 0, fmt.Errorf("cannot publish port %d/%s: no host port is free: %w: %w", p.Port, p.Proto, err, errdefs.ErrConflict)
}
