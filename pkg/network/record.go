package network

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"
)

// Record is what the database keeps of a module's network: what has to be the same
// after a reboot.
type Record struct {
	Module string `json:"module"`
	// Key is what the names of its containers begin with; it names its namespace, too.
	Key string `json:"key"`
	// Plan is that of the generation which was made first or started last.
	Plan Plan `json:"plan"`
	// Leases and Ports are also those that the generation in force does not want: an
	// update that fails goes back to them. Settle gives back what none wants any more.
	Leases []Lease     `json:"leases,omitempty"`
	Ports  []PortLease `json:"ports,omitempty"`
}

// Lease is an address that belongs to a module. Static is set for one that the
// module's author chose.
type Lease struct {
	Network string     `json:"network"`
	Addr    netip.Addr `json:"addr"`
	Static  bool       `json:"static,omitempty"`
}

// PortLease is a host port that edged chose for a wish.
type PortLease struct {
	Port Port   `json:"port"`
	Host uint16 `json:"host"`
}

// Store keeps records over power cuts. A module's record goes with the module.
type Store interface {
	Networks(ctx context.Context) ([]Record, error)
	SaveNetwork(ctx context.Context, r *Record) error
	// NameTaken says whether another module has this name, in any case.
	NameTaken(ctx context.Context, name, besides string) (bool, error)
}

// saveRecord writes down what is in memory of a module. A module is made and attached
// by several at once; one that waited for its turn here writes what the others have
// changed meanwhile, and nothing older than that.
func (m *Manager) saveRecord(ctx context.Context, module string) error {
	unlock, err := m.lock(ctx, "record/"+module) // no key has a slash
	if err != nil {
		return err
	}
	defer unlock()
	m.mu.Lock()
	rec := m.records[module]
	m.mu.Unlock()
	if rec == nil {
		return fmt.Errorf("module %q is being deleted: %w", module, errdefs.ErrNotFound)
	}
	return m.Store.SaveNetwork(ctx, rec)
}

func (r *Record) clone() *Record {
	c := *r
	c.Leases, c.Ports = slices.Clone(r.Leases), slices.Clone(r.Ports)
	return &c
}

// lease finds the module's address on a network: the one asked for, else the one
// that was given to it. v6 chooses the family.
func (r *Record) lease(network string, want netip.Addr, v6 bool) (netip.Addr, bool) {
	for _, l := range r.Leases {
		if l.Network == network && l.Addr.Is6() == v6 && (want == l.Addr || !want.IsValid() && !l.Static) {
			return l.Addr, true
		}
	}
	return netip.Addr{}, false
}

// hostPort is the port at which a wish is published.
func (r *Record) hostPort(p Port) uint16 {
	if p.fixed() {
		return p.From
	}
	for _, l := range r.Ports {
		if l.Port == p {
			return l.Host
		}
	}
	return 0
}
