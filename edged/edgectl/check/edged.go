package check

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

const unixScheme = "unix://"

func (d *device) managementSocket(context.Context) outcome {
	path := strings.TrimPrefix(d.Client.Host(), unixScheme)
	o, st := socket(path)
	if st == nil {
		return o
	}
	_, gid := owner(st)
	mode := st.Mode().Perm()
	const cure = "systemctl restart edged.mgmt.socket (its unit says SocketGroup=edged, SocketMode=0660), or restart edged where it makes the socket itself"
	switch group := d.groupID(); {
	case mode&0o002 != 0:
		return warn(cure, "%s has mode %04o: everybody may connect, and edged alone stands between them and the modules", path, mode)
	case group >= 0 && (gid != group || mode&0o060 != 0o060):
		return warn(cure, "%s has mode %04o and group %d: members of the group edged cannot use it", path, mode, gid)
	}
	return fine("%s has mode %04o", path, mode)
}

func (d *device) workloadSocket(context.Context) outcome {
	if d.cfgErr != nil {
		return skip("the configuration, which says where it is, cannot be read")
	}
	path := "/run/edged/workload.sock"
	if uri := d.cfg.Listen.Workload; !strings.HasPrefix(uri, "fd://") {
		path = strings.TrimPrefix(uri, unixScheme)
	}
	o, st := socket(path)
	if st == nil {
		return o
	}
	if mode := st.Mode().Perm(); mode&0o006 != 0o006 {
		return warn("systemctl restart edged.workload.socket (its unit says SocketMode=0666)",
			"%s has mode %04o: programs of the host that are not root's cannot use it", path, mode)
	}
	return fine("%s has mode %04o", path, st.Mode().Perm())
}

// socket looks at a socket's file; with a finding there is no FileInfo.
func socket(path string) (outcome, os.FileInfo) {
	const cure = "start edged: systemctl start edged.mgmt.socket edged.workload.socket edged; if it listens elsewhere, --host and [listen] say where"
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return skip("%v", err), nil
	case err != nil:
		return bad(cure, "there is no socket %s", path), nil
	case st.Mode()&fs.ModeSocket == 0:
		return bad("remove it and start edged", "%s is not a socket", path), nil
	}
	return outcome{}, st
}

// slow is an answer's time from which on a person waits.
const slow = 2 * time.Second

func (d *device) answers(context.Context) outcome {
	var no *client.Error
	switch {
	case errdefs.IsPermissionDenied(d.asked):
		return skip("%v", d.asked)
	case errors.As(d.asked, &no):
		return bad("edged's log says why: journalctl -u edged", "edged answers, but with: %v", d.asked)
	case d.asked != nil:
		return bad("look why it does not run: journalctl -u edged -n 50; systemctl status edged", "%v", d.asked)
	case d.askTime > slow:
		return warn("see whether the device is overloaded (edgectl stats, uptime) and whether containerd answers", "edged took %s to answer", d.askTime.Round(100*time.Millisecond))
	}
	return fine("edged %s answers", d.info.Version)
}

func (d *device) version(context.Context) outcome {
	if d.asked != nil {
		return silent()
	}
	if d.info.Version != d.Version {
		return warn("restart edged after an upgrade: systemctl restart edged (modules go on running)",
			"edged is %s, edgectl is %s", d.info.Version, d.Version)
	}
	return fine("both are %s", d.Version)
}

// soPeerPIDFD is SO_PEERPIDFD of Linux 6.5, socket(7).
const soPeerPIDFD = 77

func (d *device) peerProof(context.Context) outcome {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return skip("cannot make a socket: %v", err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	fd, err := unix.GetsockoptInt(ends[0], unix.SOL_SOCKET, soPeerPIDFD)
	if err == nil {
		_ = unix.Close(fd)
		return fine("the kernel pins each caller (SO_PEERPIDFD)")
	}
	return d.byProcessID()
}

// fewPIDs is what kernel.pid_max is by itself on a small machine, and the most that a 32-bit
// kernel takes (proc_sys_kernel(5)).
const fewPIDs = 32768

// byProcessID is what holds where a process id is all that is known of a caller. The fewer
// there are, the sooner one comes to another process.
func (d *device) byProcessID() outcome {
	const cure = "use a kernel from Linux 6.5 on"
	if d.cfg.Peer.RequirePIDFD {
		return bad(cure+", or set [peer] require_pidfd = false", "the kernel has no SO_PEERPIDFD, and [peer] require_pidfd demands it: edged does not start")
	}
	const found = "the kernel has no SO_PEERPIDFD: callers are known by process ids, which is a weaker proof; modules are known on their own sockets alone"
	if most, err := strconv.Atoi(strings.TrimSpace(d.read("/proc/sys/kernel/pid_max"))); err == nil && most <= fewPIDs && strconv.IntSize == 64 {
		return warn(cure+"; until then, let ids come round later: sysctl -w kernel.pid_max=4194304, and the same in /etc/sysctl.d", found+"; kernel.pid_max is %d, so that an id soon belongs to another process", most)
	}
	return warn(cure, found)
}

func (d *device) catalog(ctx context.Context) outcome {
	if d.asked != nil {
		return silent()
	}
	seen := errors.New("one is enough")
	err := d.Client.EachBuild(ctx, url.Values{"fields": {"uid"}}, func(*wire.Build) error { return seen })
	if err != nil && !errors.Is(err, seen) {
		return bad("edged's log says why: journalctl -u edged; a catalog that is broken comes back from a backup (edgectl restore), or is made anew: with edged stopped, move catalog.db* out of its home", "the catalog does not answer: %v", err)
	}
	return fine("the catalog answers")
}
