package peer

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Inodes of the initial namespaces, fixed by the kernel (include/linux/proc_ns.h, PROC_*_INIT_INO).
const (
	initialCgroupNS = 0xEFFFFFFB
	initialPIDNS    = 0xEFFFFFFC
	initialUserNS   = 0xEFFFFFFD
)

// surroundings is what edged must know of the place it runs in before it may judge others.
type surroundings struct {
	procIsProc bool   // /proc is procfs
	procSelf   string // /proc/self, a link to the pid of who reads it as that procfs numbers it
	pid        int    // edged's own

	uidMap, gidMap         []byte
	selfCgroup, initCgroup []byte

	ptrace     bool       // CAP_SYS_PTRACE is effective
	self, init namespaces // edged's and those of pid 1
	initErr    error      // why those of pid 1 could not be read
	initComm   string
	booted     bool // systemd is pid 1
}

// refuse says why identity could not work here (errdefs.ErrFailedPrecondition), or nil. What breaks it, and how that shows:
//
//   - /proc is none, or another pid namespace's: then numbers from SO_PEERCRED name other processes there. /proc/self is not edged's pid.
//   - The namespaces of others cannot be read: no caller could be proven the host's. CAP_SYS_PTRACE is missing; it also is above hidepid=.
//   - A user namespace: uids from SO_PEERCRED are not the host's, or all 65534. uid_map or gid_map is not the identity.
//   - A cgroup namespace whose root the rest is not below: paths read "/..". Those of edged or pid 1 do. Or one that pid 1 does not share (systemd's
//     ProtectControlGroups=private): no caller could be the host's.
//   - A pid namespace that modules are not in: they would have no pid. It is trusted to be the machine's when it is the initial one, or when its pid 1 is
//     an init (systemd, by sd_booted(3), or one called "init") in edged's own user and cgroup namespace, as in a booted system container. A process that is
//     pid 1 itself, or whose pid 1 is just some program, is in an application container, and what containerd starts is outside of it.
//
// A pid 1 that shows nobody its namespaces is no reason where all of edged's are the initial ones: there is nothing to compare.
func (s surroundings) refuse() error {
	switch {
	case !s.procIsProc:
		return s.refusal("/proc is not procfs")
	case s.procSelf != strconv.Itoa(s.pid):
		return s.refusal("/proc belongs to another pid namespace (self is %q, not %d)", s.procSelf, s.pid)
	case !identityMap(s.uidMap) || !identityMap(s.gidMap):
		return s.refusal("edged is in a user namespace: uids of callers would not be the host's (PrivateUsers=?)")
	case s.self.pid != initialPIDNS && s.pid == 1:
		return s.refusal("edged is pid 1 of a pid namespace of its own: modules would have no pid in it (PrivatePIDs=, or a container without --pid=host?)")
	case !s.ptrace:
		return s.refusal("the namespaces of others cannot be read: CAP_SYS_PTRACE is missing")
	case leavesRoot(s.selfCgroup) || leavesRoot(s.initCgroup):
		return s.refusal("edged is in a cgroup namespace that others are outside of: their paths read /..")
	case s.self.pid == initialPIDNS && s.self.user == initialUserNS && s.self.cgroup == initialCgroupNS:
		return nil
	case s.initErr != nil:
		return s.refusal("pid 1 does not show its namespaces: %v", s.initErr)
	case s.self.pid != s.init.pid:
		return s.refusal("pid 1 is in another pid namespace")
	case s.self.user != s.init.user:
		return s.refusal("pid 1 is in another user namespace (PrivateUsers=?)")
	case s.self.cgroup != s.init.cgroup:
		return s.refusal("pid 1 is in another cgroup namespace (ProtectControlGroups=private or strict?)")
	case s.self.pid != initialPIDNS && !s.booted && s.initComm != "init":
		return s.refusal("edged is in an application container: pid 1 of its pid namespace is %q, not an init", s.initComm)
	}
	return nil
}

func (s surroundings) refusal(format string, args ...any) error {
	return fmt.Errorf("cannot tell callers apart here: %s: %w", fmt.Sprintf(format, args...), errdefs.ErrFailedPrecondition)
}

// leavesRoot says whether a /proc/<pid>/cgroup has a path above the reader's root, or cannot be understood at all.
func leavesRoot(cgroup []byte) bool {
	lines := cgroupLines{rest: cgroup}
	for {
		if _, ok := lines.next(); !ok {
			return lines.err != nil
		}
	}
}

// surroundings reads them.
func (k *Kernel) surroundings() (surroundings, error) {
	s := surroundings{pid: k.pid, self: k.self, booted: booted()}
	var fs unix.Statfs_t
	s.procIsProc = unix.Fstatfs(k.proc, &fs) == nil && fs.Type == unix.PROC_SUPER_MAGIC
	link := make([]byte, 32)
	n, err := unix.Readlinkat(k.proc, "self", link)
	if err != nil {
		return s, fmt.Errorf("cannot read /proc/self: %w", os.NewSyscallError("readlinkat", err))
	}
	s.procSelf = string(link[:n])
	if s.ptrace, err = capable(unix.CAP_SYS_PTRACE); err != nil {
		return s, err
	}

	s.init, s.initErr = k.namespaces(k.proc, "1/")
	buf := k.buffer()
	defer k.pool.Put(buf)
	for _, file := range []struct {
		name string
		to   *[]byte
	}{{"self/uid_map", &s.uidMap}, {"self/gid_map", &s.gidMap}, {"self/cgroup", &s.selfCgroup}, {"1/cgroup", &s.initCgroup}} {
		b, err := k.read(k.proc, file.name, buf)
		if err != nil {
			return s, fmt.Errorf("cannot read /proc/%s: %w", file.name, err)
		}
		*file.to = bytes.Clone(b)
	}
	comm, err := k.read(k.proc, "1/comm", buf)
	if err != nil {
		return s, fmt.Errorf("cannot read /proc/1/comm: %w", err)
	}
	s.initComm = string(bytes.TrimSpace(comm))
	return s, nil
}

// capable says whether a capability is effective for edged.
func capable(capability uint) (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // version 3 has 64 bits
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false, fmt.Errorf("cannot read capabilities: %w", os.NewSyscallError("capget", err))
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0, nil
}

// probe asks for what this kernel can prove, on a pair of sockets of edged's own: options are backported, so that versions say nothing.
func (k *Kernel) probe() (Proof, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("cannot make socket pair: %w", err)
	}
	defer k.sys.close(pair[0])
	defer k.sys.close(pair[1])
	if _, err := k.sys.sockNetNS(pair[0]); err != nil {
		return "", fmt.Errorf("cannot read network namespace of a socket (SIOCGSKNS; CAP_NET_ADMIN missing?): %w: %w", err, errdefs.ErrFailedPrecondition)
	}
	pidfd, err := k.sys.peerPIDFD(pair[0])
	switch errno, _ := asErrno(err); {
	case err == nil:
		k.sys.close(pidfd)
		return ProofPIDFD, nil
	case errno == unix.ENOPROTOOPT:
		return ProofPID, nil
	default:
		return "", fmt.Errorf("cannot get pidfd of a peer (SO_PEERPIDFD): %w: %w", err, errdefs.ErrFailedPrecondition)
	}
}
