package peer

import (
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Back-off of Accept when the process or the machine has no descriptor or memory for a connection.
const (
	acceptBackoffMin = 5 * time.Millisecond
	acceptBackoffMax = time.Second
)

// listener wraps a Unix listener so that every connection it returns is a *Conn.
type listener struct {
	inner *net.UnixListener
	peers *Peers
	scope Scope
	quota *quota
	count *connCount

	closing sync.Once
	done    chan struct{}
}

// Listen wraps a listener: Accept returns connections of type *Conn whose peer is pinned. Accept asks the kernel a few questions and waits for nobody: who
// the peer is, is found out at the first request. A peer that is gone, has no pid here, or is over the limits costs its own connection: Accept closes
// it and goes on, and returns errors of the listener itself only. Closing the wrapper closes the listener.
//
// An excess connection gets a bare 503 first. The limits are counted as connections are open, per call of Listen.
func (p *Peers) Listen(l *net.UnixListener, s Scope) net.Listener {
	return &listener{
		inner: l,
		peers: p,
		scope: s,
		quota: newQuota(p.cfg.Limits, s.Module == ""),
		count: p.counters.conn(s.Name),
		done:  make(chan struct{}),
	}
}

// Addr returns the listener's own address.
func (l *listener) Addr() net.Addr { return l.inner.Addr() }

// Close ends Accept, also while it backs off.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.closing.Do(func() {
		close(l.done)
		err = l.inner.Close()
	})
	return err
}

// Accept waits for the next connection that is worth a look.
func (l *listener) Accept() (net.Conn, error) {
	backoff := acceptBackoffMin
	for {
		uc, err := l.inner.AcceptUnix()
		if err != nil {
			if !passing(err) {
				return nil, err
			}
			if !l.pause(backoff) {
				return nil, net.ErrClosed
			}
			backoff = min(2*backoff, acceptBackoffMax)
			continue
		}
		backoff = acceptBackoffMin
		if c := l.capture(uc); c != nil {
			return c, nil
		}
	}
}

// passing says whether an accept(2) error is one of a connection, or of a shortage that ends.
func passing(err error) bool {
	for _, errno := range []error{
		unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM,
		unix.ENOSPC, // epoll_ctl(2): no more watches for this user
		unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.EINTR,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// pause waits, and returns false when the listener was closed meanwhile.
func (l *listener) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.done:
		return false
	}
}

// capture makes a Conn, or closes the connection and returns nil.
func (l *listener) capture(uc *net.UnixConn) *Conn {
	c := &Conn{UnixConn: uc, listener: l, pidfd: -1, proc: -1}
	reason, asked := "", false
	if raw, err := uc.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { reason, asked = l.pin(c, int(fd)), true })
	}
	if !asked {
		reason = errnoReason(unix.EBADF)
	}
	if reason != "" {
		c.drop()
		_ = uc.Close()
		l.peers.reject(l.scope, reason, c.cred.Uid)
		return nil
	}
	l.count.accepted.Add(1)
	l.count.open.Add(1)
	return c
}

// pin fills in what the kernel says about the peer and takes a slot. It returns why the connection is refused, or "".
func (l *listener) pin(c *Conn, fd int) string {
	var err error
	if c.cred, err = l.peers.kernel.sys.peerCred(fd); err != nil {
		return errnoReason(err)
	}
	if c.cred.Pid <= 0 {
		return ReasonForeignPIDNS
	}
	var reason string
	if c.slot, reason = l.quota.take(c.cred.Uid); reason != "" {
		if c.cred.Uid == 0 && l.quota.shared && l.hostRoot(c, fd) {
			if s, ok := l.quota.takeKept(); ok {
				c.slot, c.counted = s, true
				return ""
			}
		}
		turnAway(fd)
		return reason
	}
	c.counted = true
	return c.pin(fd)
}

// hostRoot pins the peer and looks whether it is the host's. The reserve must not go to uid 0 of containers; only a listener that is full has this cost at
// accept.
func (l *listener) hostRoot(c *Conn, fd int) bool {
	if c.pin(fd) != "" {
		return false
	}
	caller, _ := c.identify()
	return caller.Kind == Host
}

// turnAway answers an excess connection. The socket is new and its buffer empty: 80 bytes fit, and a peer that does not want them is its own loss.
func turnAway(fd int) {
	const answer = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	_ = unix.Sendto(fd, []byte(answer), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	_ = unix.Shutdown(fd, unix.SHUT_WR)
}
