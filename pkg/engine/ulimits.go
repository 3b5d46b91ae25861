package engine

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/docker/go-units"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// rlimits are the limits of getrlimit(2) by Docker's names.
var rlimits = map[string]int{
	"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA, "fsize": unix.RLIMIT_FSIZE,
	"locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE,
	"nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO,
	"rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
}

// checkUlimits refuses limits that do not exist, that contradict themselves, or that
// are above edged's own hard ones.
func (m *machine) checkUlimits(o *options) error {
	seen := map[string]bool{}
	for _, u := range o.HostConfig.Ulimits {
		if u == nil {
			return invalid("HostConfig.Ulimits", "an entry is null")
		}
		_, known := rlimits[u.Name]
		hard := m.hard[u.Name]
		switch {
		case !known:
			return invalid("HostConfig.Ulimits", "unknown name %q: it is one of %s", u.Name, strings.Join(slices.Sorted(maps.Keys(rlimits)), ", "))
		case seen[u.Name]:
			return invalid("HostConfig.Ulimits", "%q is given twice", u.Name)
		case u.Soft < -1 || u.Hard < -1:
			return invalid("HostConfig.Ulimits", "%s: limits are -1 (none) or from 0 on", u.Name)
		case limitOf(u.Soft) > limitOf(u.Hard):
			return invalid("HostConfig.Ulimits", "%s: the soft limit %d is above the hard limit %d", u.Name, u.Soft, u.Hard)
		case limitOf(u.Hard) > hard:
			return invalid("HostConfig.Ulimits", "%s: the hard limit %d is above edged's own, %d (see Limit%s= of its unit)", u.Name, u.Hard, hard, strings.ToUpper(u.Name))
		}
		seen[u.Name] = true
	}
	return nil
}

// limitOf reads Docker's -1 as no limit, RLIM_INFINITY.
func limitOf(n int64) uint64 {
	if n < 0 {
		return math.MaxUint64
	}
	return uint64(n)
}

// withUlimits replaces containerd's 1,024 open files by Docker's limit, as far as
// edged's own goes, and sets what is asked for.
func (m *machine) withUlimits(asked []*units.Ulimit) oci.SpecOpts {
	return func(ctx context.Context, c oci.Client, ctr *ociContainer, s *oci.Spec) error {
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: m.noFile(), Soft: m.noFile()}}
		for _, u := range asked {
			limit := specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(u.Name), Hard: limitOf(u.Hard), Soft: limitOf(u.Soft)}
			if err := oci.WithRlimit(&limit)(ctx, c, ctr, s); err != nil {
				return err
			}
		}
		return nil
	}
}
