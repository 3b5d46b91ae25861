package peer

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// maxProcFile bounds what is read of a /proc file. A cgroup path has at most 4096 bytes, and a kernel not a dozen hierarchies.
const maxProcFile = 64 << 10

// Kernel reads processes below one /proc. It is safe for concurrent use; Close it when nothing uses it any more.
type Kernel struct {
	sys    sys
	proc   int // /proc
	pid    int // edged's own
	self   namespaces
	bootID string
	owner  hierarchy
	pool   sync.Pool
}

// namespaces are inode numbers of the links in /proc/<pid>/ns (namespaces(7)): two processes are in the same namespace when the numbers are equal.
type namespaces struct {
	pid, user, cgroup, net uint64
}

// NewKernel opens /proc and reads edged's own namespaces and the boot id. It does so once: edged's threads may enter other network namespaces later.
func NewKernel() (*Kernel, error) {
	return openKernel(realSys(), "/proc")
}

func openKernel(s sys, root string) (*Kernel, error) {
	proc, err := s.openat(unix.AT_FDCWD, root, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", root, err)
	}
	k := &Kernel{sys: s, proc: proc, pid: unix.Getpid(), owner: systemHierarchy()}
	k.pool.New = func() any { return new([maxProcFile]byte) }
	if k.self, err = k.namespaces(proc, "self/"); err != nil {
		k.Close()
		return nil, fmt.Errorf("cannot read own namespaces: %w", err)
	}
	buf := k.buffer()
	defer k.pool.Put(buf)
	id, err := k.read(proc, "sys/kernel/random/boot_id", buf)
	if err != nil {
		k.Close()
		return nil, fmt.Errorf("cannot read boot id: %w", err)
	}
	k.bootID = string(bytes.TrimSpace(id))
	return k, nil
}

// Close releases the descriptor of /proc.
func (k *Kernel) Close() { k.sys.close(k.proc) }

// BootID returns the id of the running boot (/proc/sys/kernel/random/boot_id).
func (k *Kernel) BootID() string { return k.bootID }

// open returns an O_PATH descriptor of /proc/<pid>. Which process that is, the caller must prove.
func (k *Kernel) open(pid int) (int, error) {
	return k.sys.openat(k.proc, strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY)
}

// buffer takes a buffer for read from the pool; the caller puts it back.
func (k *Kernel) buffer() *[maxProcFile]byte { return k.pool.Get().(*[maxProcFile]byte) }

// read reads a file below a directory with one pread: the kernel makes each of the files read here in one piece. The result is in buf. A file that would
// not fit is EFBIG.
func (k *Kernel) read(dirfd int, name string, buf *[maxProcFile]byte) ([]byte, error) {
	fd, err := k.sys.openat(dirfd, name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer k.sys.close(fd)
	n, err := k.sys.pread(fd, buf[:])
	if err != nil {
		return nil, err
	}
	if n == len(buf) {
		return nil, unix.EFBIG
	}
	return buf[:n], nil
}

// stat reads and parses a /proc/<pid>/stat.
func (k *Kernel) stat(dirfd int, name string) (procStat, error) {
	buf := k.buffer()
	defer k.pool.Put(buf)
	b, err := k.read(dirfd, name, buf)
	if err != nil {
		return procStat{}, err
	}
	return parseStat(b)
}

// credentials reads the effective uid and gid from a /proc/<pid>/status.
func (k *Kernel) credentials(dirfd int, name string) (uid, gid uint32, err error) {
	buf := k.buffer()
	defer k.pool.Put(buf)
	b, err := k.read(dirfd, name, buf)
	if err != nil {
		return 0, 0, err
	}
	return parseStatus(b)
}

// namespaces reads the namespaces of the process whose directory is prefix below dirfd.
func (k *Kernel) namespaces(dirfd int, prefix string) (namespaces, error) {
	var ns namespaces
	for _, link := range []struct {
		name string
		to   *uint64
	}{{"pid", &ns.pid}, {"user", &ns.user}, {"cgroup", &ns.cgroup}, {"net", &ns.net}} {
		ino, err := k.sys.nsInode(dirfd, prefix+"ns/"+link.name)
		if err != nil {
			return namespaces{}, fmt.Errorf("cannot read namespace %s: %w", link.name, err)
		}
		*link.to = ino
	}
	return ns, nil
}
