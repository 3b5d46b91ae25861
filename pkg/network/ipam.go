package network

import (
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"
)

// pool gives the addresses of one subnet. An address that was given back comes
// again last: what others remember of its old owner has passed by then.
type pool struct {
	subnet netip.Prefix
	last   netip.Addr
}

// gateway is the host's own address on the network.
func gateway(subnet netip.Prefix) netip.Addr { return subnet.Masked().Addr().Next() }

// usable says whether a module may have an address.
func (p *pool) usable(a netip.Addr) bool {
	switch {
	case !p.subnet.Contains(a), a == p.subnet.Masked().Addr(), a == gateway(p.subnet):
		return false
	case a.Is4():
		return p.subnet.Contains(a.Next()) // the last one is the broadcast's
	}
	return true
}

// next returns a free address. The error is errdefs.ResourceExhausted.
func (p *pool) next(taken func(netip.Addr) bool) (netip.Addr, error) {
	first := gateway(p.subnet).Next()
	if !p.usable(p.last) {
		p.last = gateway(p.subnet)
	}
	for a, turned := p.last.Next(), false; ; a = a.Next() {
		if !p.usable(a) {
			if turned {
				return netip.Addr{}, fmt.Errorf("network %s has no free address left: %w", p.subnet, errdefs.ErrResourceExhausted)
			}
			a, turned = first, true
			if !p.usable(a) {
				continue
			}
		}
		if !taken(a) {
			p.last = a
			return a, nil
		}
		if turned && a == p.last {
			return netip.Addr{}, fmt.Errorf("network %s has no free address left: %w", p.subnet, errdefs.ErrResourceExhausted)
		}
	}
}
