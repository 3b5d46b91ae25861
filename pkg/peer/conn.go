package peer

import (
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Conn is an accepted connection with the peer that made it pinned. It owns the descriptors that pin; Close releases them, once.
//
// A descriptor of the socket that was handed on to another process speaks for the process that connected, as long as that one lives.
type Conn struct {
	*net.UnixConn
	listener *listener
	cred     unix.Ucred // at connect
	slot     slot
	counted  bool // slot was taken

	resolving sync.Mutex // one judgement at a time: it may wait for a row of the table, so Close does not take it
	resolved  bool
	caller    Caller
	refused   atomic.Bool // the caller is Unknown: the connection is to be closed

	fds   sync.Mutex // guards what follows: a descriptor must not be closed, and its number reused, while it is asked
	shut  bool
	pidfd int    // -1: ProofPID on a kernel without pidfd_open(2)
	proc  int    // ProofPID: /proc/<pid>; released after the judgement where there is a pidfd
	start uint64 // ProofPID: start time of the process at accept
}

// RemoteAddr returns an unnamed address. The client may bind to any name it likes, and that name is not to appear anywhere as if it said something.
func (c *Conn) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "@"} }

// Close closes the connection and releases what pins its peer.
func (c *Conn) Close() error {
	if c.drop() {
		c.listener.count.open.Add(-1)
	}
	return c.UnixConn.Close()
}

// drop releases descriptors and slot; it returns false when that was done before.
func (c *Conn) drop() bool {
	c.fds.Lock()
	defer c.fds.Unlock()
	if c.shut {
		return false
	}
	c.shut = true
	c.release(&c.proc)
	c.release(&c.pidfd)
	if c.counted {
		c.listener.quota.release(c.slot)
	}
	return true
}

func (c *Conn) release(fd *int) {
	if *fd >= 0 {
		c.kernel().sys.close(*fd)
		*fd = -1
	}
}

func (c *Conn) kernel() *Kernel { return c.listener.peers.kernel }

// pin opens what holds the peer fast. A pidfd from the socket is enough: see read. A pid that is only believed is held by its /proc directory as well.
func (c *Conn) pin(fd int) string {
	k := c.kernel()
	pid := int(c.cred.Pid)
	if reason := c.pinProcess(fd, pid); reason != "" {
		return reason
	}
	if c.proof() == ProofPID {
		var err error
		if c.proc, err = k.open(pid); err != nil {
			c.proc = -1
			return errnoReason(err)
		}
		stat, err := c.stat()
		if err != nil {
			return errnoReason(err)
		}
		c.start = stat.start
	}
	return c.goneReason()
}

// pinProcess gets the pidfd. The errnos of SO_PEERPIDFD for a process that is gone differ by kernel: EINVAL (6.5 to 6.15), ESRCH (some 6.12 and 6.16-rc),
// success (6.16). None of them, nor any other, is more than this connection's.
func (c *Conn) pinProcess(fd, pid int) string {
	k := c.kernel()
	var pidfd int
	var err error
	if c.proof() == ProofPIDFD {
		if pidfd, err = k.sys.peerPIDFD(fd); err == nil {
			c.pidfd = pidfd
			return ""
		}
		if errno, _ := asErrno(err); errno == unix.EINVAL || errno == unix.ESRCH {
			return ReasonGone
		}
		return errnoReason(err)
	}
	// What is pinned here is whoever has the pid now. Without pidfd_open(2), before Linux 5.3, the descriptor of /proc/<pid> does it alone.
	if pidfd, err = k.sys.pidfdOpen(pid); err == nil {
		c.pidfd = pidfd
		return ""
	}
	switch errno, _ := asErrno(err); errno {
	case unix.ENOSYS:
		return ""
	case unix.EINVAL: // the process ended while the kernel looked, or the number is a thread's by now
		return ReasonGone
	}
	return errnoReason(err)
}

func (c *Conn) proof() Proof { return c.listener.peers.proof }

// goneReason says whether the pinned process has ended. Without a pidfd, its stat is read again: ESRCH, or a zombie.
func (c *Conn) goneReason() string {
	if c.listener.peers.cfg.noLiveness() {
		return ""
	}
	if c.pidfd >= 0 {
		gone, err := c.kernel().sys.exited(c.pidfd)
		switch {
		case err != nil:
			return errnoReason(err)
		case gone:
			return ReasonGone
		}
		return ""
	}
	stat, err := c.stat()
	switch {
	case err != nil:
		return errnoReason(err)
	case stat.dead() || stat.start != c.start:
		return ReasonGone
	}
	return ""
}

// at names a file of the peer's /proc directory for openat(2).
//
// With a pidfd from the socket the number is as good as a descriptor of the directory. The pinned process has had that number since before it connected,
// and nobody else can as long as it lives: where the poll afterwards finds it alive, every look-up by number before was a look-up of it.
func (c *Conn) at(name string) (dirfd int, path string) {
	if c.proc >= 0 {
		return c.proc, name
	}
	return c.kernel().proc, strconv.Itoa(int(c.cred.Pid)) + "/" + name
}

func (c *Conn) read(name string, buf *[maxProcFile]byte) ([]byte, error) {
	dirfd, path := c.at(name)
	return c.kernel().read(dirfd, path, buf)
}

func (c *Conn) stat() (procStat, error) {
	return c.kernel().stat(c.at("stat"))
}
