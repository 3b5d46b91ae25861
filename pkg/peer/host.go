package peer

import (
	"golang.org/x/sys/unix"
)

// hierarchy is the cgroup hierarchy that says where on the host a process belongs.
type hierarchy uint8

const (
	// unified is the v2 hierarchy, where it is the only one.
	unified hierarchy = iota
	// named is systemd's own on v1 and hybrid hosts, "name=systemd": the v2 line may be there as well, also long after it was unmounted.
	named
	// unmanaged is for hosts without systemd and with v1: the v2 line where there is one; where there is none, every line must be a place of the host's.
	unmanaged
)

// systemHierarchy looks at what is mounted, once, as the file alone does not tell: a hierarchy that was unmounted keeps its line.
func systemHierarchy() hierarchy {
	var fs unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &fs); err == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
		return unified
	}
	if booted() {
		return named
	}
	return unmanaged
}

// booted says whether systemd is PID 1, by the sign that sd_booted(3) documents.
func booted() bool {
	var st unix.Stat_t
	return unix.Lstat("/run/systemd/system", &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// hostCgroup judges a /proc/<pid>/cgroup that leads into no recorded instance: the line of the hierarchy that counts must be a place of the host's, and no
// line at all, that one included, may have the form of a container's.
func hostCgroup(cgroup []byte, owner hierarchy, namespace string, table *snapshot) bool {
	var haveOwner, ownerOK bool
	allOK := true
	lines := cgroupLines{rest: cgroup}
	for {
		line, ok := lines.next()
		if !ok {
			break
		}
		if foreign(line.path, namespace) || table.belowParent(line.path) {
			return false
		}
		place := hostPlace(line.path)
		allOK = allOK && place
		counts := string(line.id) == "0" && len(line.controllers) == 0
		if owner == named {
			counts = string(line.controllers) == "name=systemd"
		}
		if counts {
			haveOwner, ownerOK = true, place
		}
	}
	if lines.err != nil {
		return false
	}
	if owner == unmanaged && !haveOwner {
		return allOK
	}
	return haveOwner && ownerOK
}

// linesProven says that a /proc/<pid>/cgroup shows by itself that none of its lines lies: the kernel writes them one after the other, "/" on v1 once the
// first thread has begun to exit (see leavingReason), and what has begun is never taken back. So when the last v1 line is not "/", no line before it lies.
// That is the common case: systemd's own hierarchy is the first that is mounted, and the first is the last written.
func linesProven(cgroup []byte) bool {
	proven := false
	lines := cgroupLines{rest: cgroup}
	for {
		line, ok := lines.next()
		if !ok {
			return proven && lines.err == nil
		}
		if string(line.id) != "0" {
			proven = string(line.path) != "/"
		}
	}
}

// awaitsRow says whether a /proc/<pid>/cgroup that leads into no recorded instance leads to where edged's containers are.
func awaitsRow(cgroup []byte, namespace string, table *snapshot) bool {
	lines := cgroupLines{rest: cgroup}
	for {
		line, ok := lines.next()
		if !ok {
			return false
		}
		if ownPlace(line.path, namespace) || table.belowParent(line.path) {
			return true
		}
	}
}

// hostNamespaces says whether the process shares edged's pid, user and cgroup namespaces. The uid_map needs no look: it belongs to the user namespace, is
// written once, and New has seen that edged's is the identity. A thread group whose first thread has exited has no cgroup namespace to show: ENOENT.
func (c *Conn) hostNamespaces() (bool, error) {
	k := c.kernel()
	for _, link := range [...]struct {
		name string
		self uint64
	}{{"ns/cgroup", k.self.cgroup}, {"ns/pid", k.self.pid}, {"ns/user", k.self.user}} {
		ino, err := k.sys.nsInode(c.at(link.name))
		if err != nil || ino != link.self {
			return false, err
		}
	}
	return true, nil
}
