package peer

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// Peers judges the connections of edged's listeners. It is safe for concurrent use.
type Peers struct {
	cfg      Config
	kernel   *Kernel
	owned    bool // the kernel is closed with the Peers
	table    *Table
	proof    Proof
	counters counters
}

// New looks at the place edged runs in and at what its kernel can prove. It refuses (errdefs.ErrFailedPrecondition) where identity could not work: in a user
// namespace, in a cgroup namespace with others outside of it, in an application container's pid namespace, where /proc cannot be read, and, with
// RequirePIDFD, on a kernel without SO_PEERPIDFD. Configurations that make no sense are errdefs.ErrInvalidArgument.
func New(cfg Config) (*Peers, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	p := &Peers{cfg: cfg, kernel: cfg.Kernel, table: cfg.Table}
	if p.kernel == nil {
		kernel, err := NewKernel()
		if err != nil {
			return nil, err
		}
		p.kernel, p.owned = kernel, true
	}
	if err := p.start(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Peers) start() error {
	s, err := p.kernel.surroundings()
	if err != nil {
		return err
	}
	if err := s.refuse(); err != nil {
		return err
	}
	if p.proof, err = p.kernel.probe(); err != nil {
		return err
	}
	if p.cfg.RequirePIDFD && p.proof != ProofPIDFD {
		return fmt.Errorf("cannot start with require_pidfd: this kernel has no SO_PEERPIDFD (Linux 6.5): %w", errdefs.ErrFailedPrecondition)
	}
	if p.cfg.ForcePIDProof || p.cfg.pidOnly() {
		p.proof = ProofPID
	}
	return nil
}

// Proof says what ties connections to processes here.
func (p *Peers) Proof() Proof { return p.proof }

// Close releases what New opened. Listeners and connections are closed by those who have them, before.
func (p *Peers) Close() {
	if p.owned {
		p.kernel.Close()
	}
}

// reject counts a connection that is refused, and tells who wants to know.
func (p *Peers) reject(scope Scope, reason string, uid uint32) {
	p.counters.reject(scope.Name, reason)
	if p.cfg.OnReject != nil {
		p.cfg.OnReject(scope, reason, uid)
	}
}
