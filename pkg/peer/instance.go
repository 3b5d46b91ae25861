package peer

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// Instance is one container of a module as edged recorded it after the task was made and before its first instruction ran. It is not changed once it is in
// a Table.
type Instance struct {
	Module      string
	Generation  int64
	ContainerID string
	// Paths are the cgroup paths read from the first process, each ending in the container's own component, without repetition.
	Paths     []string
	PID       int    // of the first process
	StartTime uint64 // of the first process: /proc/<pid>/stat, field 22, clock ticks since boot
	NetNS     uint64 // inode of the network namespace; 0: it is edged's own
	BootID    string // /proc/sys/kernel/random/boot_id: on another boot nothing above means anything
	System    bool   // one of edged's own system modules
	// GenerationID is that of the identity which the container was made with; empty: an edged of before did not record it.
	GenerationID string `json:",omitempty"`
}

// own says whether the last component of a cgroup path is the container's: its id (cgroupfs), or the scope of its id (systemd, as edged names it).
func own(path, id string) bool {
	last := path[strings.LastIndexByte(path, '/')+1:]
	return last == id || last == scopeName(id)
}

// scopeName is the unit that the systemd cgroup driver makes of "<slice>:edged:<id>".
func scopeName(id string) string { return ownScopePrefix + id + ".scope" }

// validID refuses what could not be the last component of a path, or would be another's. containerd's own rule is narrower.
func validID(id string) error {
	if id == "" || id == "." || id == ".." || len(id) > 255 || strings.ContainsAny(id, "/\x00\n") {
		return fmt.Errorf("cannot use container id %q: %w", id, errdefs.ErrInvalidArgument)
	}
	return nil
}
