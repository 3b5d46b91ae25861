package peer

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/sys/unix"
)

// Kind says what a Caller was proven to be. The zero value is Unknown.
type Kind uint8

// The kinds of caller.
const (
	Unknown Kind = iota // nothing was proven; Reason says why
	Host                // a user of the host, in the host's own namespaces and control groups
	Module              // a process of a module's container
)

// String returns the kind in lower case.
func (k Kind) String() string {
	switch k {
	case Host:
		return "host"
	case Module:
		return "module"
	default:
		return "unknown"
	}
}

// Proof is what ties a connection to a process.
type Proof string

// The strengths of proof.
const (
	// ProofPIDFD is SO_PEERPIDFD (Linux 6.5): the kernel pins the process that connected.
	ProofPIDFD Proof = "pidfd"
	// ProofPID is the number from SO_PEERCRED, pinned by edged only after accept: a pid that was recycled before that cannot be told apart.
	ProofPID Proof = "pid"
)

// The reasons of Unknown callers and of rejected connections, as they appear in logs and metrics. A failing system call is "errno_" and the errno's
// name in lower case.
const (
	ReasonGone             = "gone"               // the process exited
	ReasonForeignPIDNS     = "foreign_pidns"      // the process has no pid in edged's pid namespace
	ReasonForeignContainer = "foreign_container"  // neither a module's nor provably the host's
	ReasonListenerMismatch = "listener_mismatch"  // not the module this listener is for, or a weaker proof than the listener asks for
	ReasonNetNSMismatch    = "netns_mismatch"     // the connection was made in another network namespace than the module's
	ReasonDisagree         = "hierarchy_disagree" // the cgroup hierarchies name different instances
	ReasonStale            = "stale_instance"     // the container is edged's and not, or no longer, in the table
	ReasonCredentials      = "creds_mismatch"     // ProofPID: the process no longer has the uid and gid it connected with
	ReasonMalformed        = "malformed"          // a /proc file was not what proc(5) says
	ReasonLimitListener    = "limit_listener"     // the listener has all the connections it may have
	ReasonLimitUID         = "limit_uid"          // the uid has all the connections it may have on this listener
)

// Caller is who is at the other end of a connection.
type Caller struct {
	Kind     Kind
	Instance *Instance // Module: the instance, as it is in the table; else nil
	PID      int       // as edged's pid namespace numbers it, at connect
	UID, GID uint32    // effective, at connect; of a module they mean nothing on the host
	Groups   []uint32  // Host: the supplementary groups at connect (SO_PEERGROUPS); else nil, for a module may choose its own
	Proof    Proof
	Reason   string // Unknown: one of the Reason constants or errno_*; else empty
	Listener string // Scope.Name of the listener that accepted
}

// Module returns the module's name, empty when the caller is none.
func (c Caller) Module() string {
	if c.Kind != Module || c.Instance == nil {
		return ""
	}
	return c.Instance.Module
}

// String describes the caller for logs. It is never parsed, and no decision is made on it.
func (c Caller) String() string {
	switch {
	case c.Kind == Module && c.Instance != nil:
		return fmt.Sprintf("module %q generation %d container %q pid %d uid %d proof %s listener %s",
			c.Instance.Module, c.Instance.Generation, c.Instance.ContainerID, c.PID, c.UID, c.Proof, c.Listener)
	case c.Kind == Host:
		return fmt.Sprintf("host uid %d gid %d pid %d proof %s listener %s", c.UID, c.GID, c.PID, c.Proof, c.Listener)
	default:
		return fmt.Sprintf("unknown (%s) pid %d uid %d proof %s listener %s", c.Reason, c.PID, c.UID, c.Proof, c.Listener)
	}
}

// errnoReason names a failed system call. A process that went away shows as ENOENT or ESRCH, whichever step met it.
func errnoReason(err error) string {
	errno, ok := asErrno(err)
	switch {
	case errors.Is(err, net.ErrClosed): // closed by edged meanwhile
		return ReasonGone
	case !ok:
		return ReasonMalformed
	}
	switch errno {
	case unix.ENOENT, unix.ESRCH:
		return ReasonGone
	}
	if name := unix.ErrnoName(errno); name != "" {
		return "errno_" + strings.ToLower(name)
	}
	return fmt.Sprintf("errno_%d", int(errno))
}
