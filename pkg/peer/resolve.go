package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
)

// Caller says who is at the other end, now. The judgement is made once for a connection; that the process still lives and its instance is still the one in
// the table is asked at every call. A caller that is Unknown, for whatever reason, stays so: the connection is to be closed (see CloseAfter), and the
// client may come back.
//
// A process in one of edged's own cgroups whose row is not in the table yet waits for it, Config.RowWait at most. An error means that nothing is decided: that
// of a context that ended meanwhile, or errdefs.ErrUnavailable where edged itself has no descriptor or memory to look.
func (c *Conn) Caller(ctx context.Context) (Caller, error) {
	c.resolving.Lock()
	defer c.resolving.Unlock()
	if c.refused.Load() {
		return c.caller, nil
	}
	if !c.resolved {
		caller, err := c.await(ctx)
		if err != nil {
			return Caller{}, err
		}
		c.caller, c.resolved = caller, true
		if caller.Kind == Unknown {
			c.refuse(caller.Reason)
		}
		return c.caller, nil
	}
	if reason := c.recheck(); shortage(reason) {
		return Caller{}, unavailable(reason)
	} else if reason != "" {
		c.refuse(reason)
	}
	return c.caller, nil
}

// Presumed is whom the connection was judged to be, without another look at whether
// that is so still: to choose a queue by, never to decide by. The first time it is Caller.
func (c *Conn) Presumed(ctx context.Context) (Caller, error) {
	c.resolving.Lock()
	if c.resolved {
		defer c.resolving.Unlock()
		return c.caller, nil
	}
	c.resolving.Unlock()
	return c.Caller(ctx)
}

// shortage says whether a reason is edged's own and passes.
func shortage(reason string) bool {
	switch reason {
	case "errno_emfile", "errno_enfile", "errno_enomem", "errno_enobufs":
		return true
	}
	return false
}

func unavailable(reason string) error {
	return fmt.Errorf("cannot look at the peer: %s: %w", reason, errdefs.ErrUnavailable)
}

// refuse turns the caller into an Unknown for good.
func (c *Conn) refuse(reason string) {
	c.caller = c.unknown(reason)
	c.refused.Store(true)
	c.listener.peers.reject(c.listener.scope, reason, c.cred.Uid)
}

// recheck is what every request on a kept connection costs: a look into the table and one poll.
func (c *Conn) recheck() string {
	p := c.listener.peers
	if c.caller.Kind == Module && !p.cfg.noLiveness() && !p.table.Current(c.caller.Instance) {
		return ReasonStale
	}
	c.fds.Lock()
	defer c.fds.Unlock()
	if c.shut {
		return ReasonGone
	}
	return c.goneReason()
}

// await judges, and again at each change of the table as long as the row of the caller's container is missing.
func (c *Conn) await(ctx context.Context) (Caller, error) {
	p := c.listener.peers
	var timeout <-chan time.Time
	for {
		changed := p.table.changed() // before the look, so that no change is missed
		caller, waits := c.identify()
		if shortage(caller.Reason) {
			return Caller{}, unavailable(caller.Reason)
		}
		if !waits || p.cfg.RowWait < 0 {
			c.settle()
			return caller, nil
		}
		if timeout == nil {
			timer := time.NewTimer(p.cfg.RowWait)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-changed:
		case <-timeout:
			c.settle()
			return caller, nil
		case <-ctx.Done():
			return Caller{}, ctx.Err()
		}
	}
}

// settle releases the descriptor of /proc/<pid>, which is of no use once the caller is known, unless it is all that pins the process.
func (c *Conn) settle() {
	c.fds.Lock()
	defer c.fds.Unlock()
	if c.pidfd >= 0 {
		c.release(&c.proc)
	}
}

// identify reads and decides, without waiting for anyone. waits says that the process is in one of edged's own cgroups and its row is missing.
func (c *Conn) identify() (caller Caller, waits bool) {
	c.fds.Lock()
	defer c.fds.Unlock()
	if c.shut {
		return c.unknown(ReasonGone), false
	}
	if reason := c.sameProcess(); reason != "" {
		return c.unknown(reason), false
	}
	caller, waits = c.judge()
	// Last, for it proves that all of the above was read while the process lived; and before any other reason, for a process that is gone leaves half-read
	// facts behind.
	if reason := c.sameProcess(); reason != "" {
		return c.unknown(reason), false
	}
	if reason := c.goneReason(); reason != "" {
		return c.unknown(reason), false
	}
	return caller, waits
}

// sameProcess is what ProofPID adds, before and after the reads: the process that has the pid started when the one seen at accept did, and has the effective
// uid and gid of the one that connected. So a client that changed them after it connected is refused on such kernels.
func (c *Conn) sameProcess() string {
	p := c.listener.peers
	if p.proof != ProofPID || p.cfg.pidOnly() {
		return ""
	}
	stat, err := c.stat()
	if err != nil {
		return errnoReason(err)
	}
	uid, gid, err := p.kernel.credentials(c.at("status"))
	switch {
	case err != nil:
		return errnoReason(err)
	case stat.start != c.start:
		return ReasonGone
	case uid != c.cred.Uid || gid != c.cred.Gid:
		return ReasonCredentials
	}
	return ""
}

// judge decides by the cgroup first: a process in a container of edged's is never the host's, whatever else it shows.
func (c *Conn) judge() (caller Caller, waits bool) {
	p := c.listener.peers
	table := p.table.current.Load()
	buf := p.kernel.buffer()
	defer p.kernel.pool.Put(buf)
	cgroup, err := c.read("cgroup", buf)
	if err != nil {
		return c.unknown(errnoReason(err)), false
	}
	in, err := p.cfg.lookUp(table, cgroup)
	shared := c.listener.scope.Module == "" || p.cfg.noListenerFactor()
	switch {
	case err == nil:
		return c.judgeModule(in), false
	case !errors.Is(err, ErrNoInstance):
		return c.unknown(cgroupReason(err)), false
	case shared && hostCgroup(cgroup, p.kernel.owner, p.table.namespace, table):
		return c.judgeHost(cgroup), false
	case awaitsRow(cgroup, p.table.namespace, table):
		return c.unknown(ReasonStale), true
	case !shared:
		return c.unknown(ReasonListenerMismatch), false
	default:
		return c.unknown(ReasonForeignContainer), false
	}
}

// judgeModule asks whether the other two facts agree with the cgroup.
func (c *Conn) judgeModule(in *Instance) Caller {
	p := c.listener.peers
	if !p.cfg.noListenerFactor() {
		// The number of a process may have been another's when it connected. On a module's own listener, where only that module can come by, that gains
		// nothing; on a shared one it could gain a module's identity.
		weak := p.proof == ProofPID && !p.cfg.pidOnly()
		if own := c.listener.scope.Module; own != in.Module && (own != "" || weak) {
			return c.unknown(ReasonListenerMismatch)
		}
	}
	if in.NetNS != 0 && !p.cfg.noNetNS() {
		net, err := c.socketNetNS()
		switch {
		case err != nil:
			return c.unknown(errnoReason(err))
		case net != in.NetNS:
			return c.unknown(ReasonNetNSMismatch)
		}
	}
	caller := c.base()
	caller.Kind, caller.Instance = Module, in
	return caller
}

// judgeHost asks for the rest of the proof that a process is the host's.
func (c *Conn) judgeHost(cgroup []byte) Caller {
	k := c.kernel()
	ours, err := c.hostNamespaces()
	switch {
	case err != nil && errnoReason(err) == ReasonGone:
		return c.unknown(cmp.Or(c.leavingReason(), ReasonForeignContainer))
	case err != nil:
		return c.unknown(errnoReason(err))
	case !ours:
		return c.unknown(ReasonForeignContainer)
	}
	if k.owner != unified && !linesProven(cgroup) {
		if reason := c.leavingReason(); reason != "" {
			return c.unknown(reason)
		}
	}
	caller := c.base()
	if caller.Groups, err = c.groups(); err != nil {
		return c.unknown(errnoReason(err))
	}
	caller.Kind = Host
	return caller
}

// leavingReason refuses a process whose first thread has begun to exit, and with it lost what says where it belongs: its namespaces, and on v1 its cgroups,
// which then read "/" as those of a host process do. Other threads may live on for as long as they like, so that the pidfd does not tell.
func (c *Conn) leavingReason() string {
	stat, err := c.stat()
	switch {
	case err != nil:
		return errnoReason(err)
	case !stat.exiting():
		return ""
	case stat.state == 'Z' && !stat.dead():
		return ReasonForeignContainer
	default:
		return ReasonGone
	}
}

func (c *Conn) base() Caller {
	return Caller{PID: int(c.cred.Pid), UID: c.cred.Uid, GID: c.cred.Gid, Proof: c.proof(), Listener: c.listener.scope.Name}
}

func (c *Conn) unknown(reason string) Caller {
	caller := c.base()
	caller.Reason = reason
	return caller
}

func (c *Conn) socketNetNS() (net uint64, err error) {
	err = c.ask(func(fd int) (err error) {
		net, err = c.kernel().sys.sockNetNS(fd)
		return err
	})
	return net, err
}

func (c *Conn) groups() (groups []uint32, err error) {
	err = c.ask(func(fd int) (err error) {
		groups, err = c.kernel().sys.peerGroups(fd)
		return err
	})
	return groups, err
}

// ask runs f with the socket's descriptor held open.
func (c *Conn) ask(f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}
