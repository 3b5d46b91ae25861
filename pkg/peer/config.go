package peer

import (
	"fmt"
	"time"

	"github.com/containerd/errdefs"
)

// Scope says which listener a connection came in by.
type Scope struct {
	Name   string // "management" or "workload"; the label in logs and metrics
	Module string // not empty: the socket lies in this module's directory, and only its instances are callers here
}

// Limits bounds the connections that are open at once. Zero fields get the defaults.
type Limits struct {
	PerListener int // on a shared listener, in all: 1024
	// PerUID is, on a shared listener, for each peer uid (SO_PEERCRED, at accept): 256. On a module's listener it is for all together: uids inside a
	// container are the module's own choice.
	PerUID int
	// RootReserve is kept on each shared listener for uid 0 of the host, beyond what PerListener leaves to others and beyond root's own PerUID: 16. Uid 0
	// of a container does not get it.
	RootReserve int
}

// Config is what New takes.
type Config struct {
	Table  *Table  // required
	Kernel *Kernel // nil: New opens one, which the Peers then owns

	// RequirePIDFD refuses to start where the kernel has no SO_PEERPIDFD.
	RequirePIDFD bool
	// ForcePIDProof uses ProofPID although the kernel could do better. It is for tests of the fallback, and excludes RequirePIDFD.
	ForcePIDProof bool

	Limits Limits
	// RowWait is how long a request from a container of edged that is not in the table waits for its row: 5 s when zero, not at all when negative.
	RowWait time.Duration

	// OnReject, when not nil, is told of every connection that was closed at accept and of every one whose caller was found Unknown, once each. It is
	// called from the accept loop and from request handling, also concurrently: it must be quick.
	OnReject func(scope Scope, reason string, uid uint32)

	weakened
}

const (
	defaultPerListener = 1024
	defaultPerUID      = 256
	defaultRootReserve = 16
	defaultRowWait     = 5 * time.Second
)

// complete fills in the defaults and refuses what makes no sense (errdefs.ErrInvalidArgument).
func (c *Config) complete() error {
	if c.Table == nil {
		return fmt.Errorf("cannot use peer configuration: no table: %w", errdefs.ErrInvalidArgument)
	}
	if c.RequirePIDFD && c.ForcePIDProof {
		return fmt.Errorf("cannot use peer configuration: a pidfd is both required and forgone: %w", errdefs.ErrInvalidArgument)
	}
	for _, f := range []struct {
		field *int
		value int
	}{
		{&c.Limits.PerListener, defaultPerListener},
		{&c.Limits.PerUID, defaultPerUID},
		{&c.Limits.RootReserve, defaultRootReserve},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
		if *f.field < 0 {
			return fmt.Errorf("cannot use peer configuration: a limit is negative: %w", errdefs.ErrInvalidArgument)
		}
	}
	if c.Limits.RootReserve >= c.Limits.PerListener {
		return fmt.Errorf("cannot use peer configuration: a reserve of %d leaves nothing of %d connections: %w",
			c.Limits.RootReserve, c.Limits.PerListener, errdefs.ErrInvalidArgument)
	}
	if c.RowWait == 0 {
		c.RowWait = defaultRowWait
	}
	return nil
}
