package peer

import (
	"net"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// DrainBacklog closes every connection that was queued on a listener before the call and returns how many those were. Under ProofPID it is called once,
// before edged says it is ready: with socket activation a connection may have waited there for as long as edged took to start, and its pid may be
// another's by now. Clients try again. Under ProofPIDFD it does nothing, for there such a pid cannot deceive.
//
// The queue is first in, first out, and no longer than net.core.somaxconn: after that many, what is left came later, and a flood of connections cannot hold
// edged here.
func (p *Peers) DrainBacklog(l *net.UnixListener) (int, error) {
	if p.proof == ProofPIDFD {
		return 0, nil
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return 0, err
	}
	drained := 0
	err = raw.Control(func(fd uintptr) {
		for limit := p.kernel.somaxconn() + 1; drained < limit; drained++ {
			conn, err := retry(func() (int, error) {
				n, _, err := unix.Accept4(int(fd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
				return n, err
			})
			if err != nil {
				return // EAGAIN: empty. Anything else, Accept will meet as well.
			}
			p.kernel.sys.close(conn)
		}
	})
	return drained, err
}

// somaxconn is the longest a queue can be (listen(2)); the kernel allows up to 65535 when it cannot be read.
func (k *Kernel) somaxconn() int {
	buf := k.buffer()
	defer k.pool.Put(buf)
	if b, err := k.read(k.proc, "sys/net/core/somaxconn", buf); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && n > 0 {
			return n
		}
	}
	return 65535
}
