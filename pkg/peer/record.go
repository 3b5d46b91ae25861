package peer

import (
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
)

// Record reads what a Table needs of a container's first process. It must be called while runc holds that process, before its first instruction: what is read
// later, the container chose. id is the container's.
//
// A path is recorded only if its last component is the id, or "edged-<id>.scope". A v1 hierarchy that runc does not own shows the shim's own cgroup, and to
// record that would make every process there the module's. Neither is the root ever recorded. No such path at all, or a process that is not there, is
// errdefs.ErrFailedPrecondition.
//
// Of the Instance, ContainerID, Paths, PID, StartTime, NetNS and BootID are set.
func (k *Kernel) Record(pid int, id string) (Instance, error) {
	if err := validID(id); err != nil {
		return Instance{}, err
	}
	proc, err := k.open(pid)
	if err != nil {
		return Instance{}, recordError(id, pid, err)
	}
	defer k.sys.close(proc)
	stat, err := k.stat(proc, "stat")
	if err != nil {
		return Instance{}, recordError(id, pid, err)
	}
	if stat.dead() {
		return Instance{}, recordError(id, pid, fmt.Errorf("it has exited"))
	}
	in := Instance{ContainerID: id, PID: pid, StartTime: stat.start, BootID: k.bootID}
	if in.Paths, err = k.ownPaths(proc, id); err != nil {
		return Instance{}, recordError(id, pid, err)
	}
	net, err := k.sys.nsInode(proc, "ns/net")
	if err != nil {
		return Instance{}, recordError(id, pid, err)
	}
	if net != k.self.net {
		in.NetNS = net
	}
	return in, nil
}

// ownPaths reads the paths that end in the container's own component.
func (k *Kernel) ownPaths(proc int, id string) ([]string, error) {
	buf := k.buffer()
	defer k.pool.Put(buf)
	b, err := k.read(proc, "cgroup", buf)
	if err != nil {
		return nil, err
	}
	var paths []string
	lines := cgroupLines{rest: b}
	for {
		line, ok := lines.next()
		if !ok {
			break
		}
		if path := string(line.path); path != "/" && own(path, id) && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	if lines.err != nil {
		return nil, lines.err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no cgroup path ends in the container's own component")
	}
	return paths, nil
}

// Alive says whether a recorded instance is still the one that runs: the boot is the same, its first process is there with the same start time and not a
// zombie, and every recorded path is or contains that of one of its hierarchies. A first process that moved itself deeper is still the instance's.
func (k *Kernel) Alive(in Instance) bool {
	if in.BootID == "" || in.BootID != k.bootID || in.PID <= 0 || len(in.Paths) == 0 {
		return false
	}
	proc, err := k.open(in.PID)
	if err != nil {
		return false
	}
	defer k.sys.close(proc)
	stat, err := k.stat(proc, "stat")
	if err != nil || stat.dead() || stat.start != in.StartTime {
		return false
	}
	buf := k.buffer()
	defer k.pool.Put(buf)
	b, err := k.read(proc, "cgroup", buf)
	if err != nil {
		return false
	}
	for _, path := range in.Paths {
		if !anyWithin(b, path) {
			return false
		}
	}
	return true
}

// anyWithin says whether a line of a /proc/<pid>/cgroup is dir or below it. A file with a bad line has none.
func anyWithin(cgroup []byte, dir string) bool {
	found := false
	lines := cgroupLines{rest: cgroup}
	for {
		line, ok := lines.next()
		if !ok {
			return found && lines.err == nil
		}
		found = found || within(line.path, dir)
	}
}

func recordError(id string, pid int, cause error) error {
	return fmt.Errorf("cannot record process %d of container %q: %w: %w", pid, id, cause, errdefs.ErrFailedPrecondition)
}
