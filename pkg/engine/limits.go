package engine

import (
	"fmt"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// dockerNoFile is what Docker gives a container when nobody says otherwise.
const dockerNoFile = 1 << 20

// limits are edged's own hard limits: runc cannot give a module more than its
// parents hold, and fails late and unclearly when asked to.
type limits struct{ noFile uint64 }

func ownLimits() (limits, error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return limits{}, fmt.Errorf("cannot read own limits: %w", err)
	}
	return limits{noFile: min(r.Max, dockerNoFile)}, nil
}

// check refuses resource values that no kernel would take.
func (l limits) check(o *options) error {
	h := &o.HostConfig
	switch {
	case h.Memory < 0 || h.Memory > 0 && h.Memory < 6<<20:
		return fmt.Errorf("invalid createOptions.HostConfig.Memory %d: it is 0 (no limit) or at least 6 MiB: %w", h.Memory, errdefs.ErrInvalidArgument)
	case h.NanoCPUs < 0 || h.NanoCPUs > 0 && h.NanoCPUs < minNanoCPUs:
		return fmt.Errorf("invalid createOptions.HostConfig.NanoCpus %d: it is 0 (no limit) or at least %d: %w", h.NanoCPUs, minNanoCPUs, errdefs.ErrInvalidArgument)
	case h.OomScoreAdj < -1000 || h.OomScoreAdj > 1000:
		return fmt.Errorf("invalid createOptions.HostConfig.OomScoreAdj %d: it is -1000 to 1000: %w", h.OomScoreAdj, errdefs.ErrInvalidArgument)
	}
	return nil
}

// cpuPeriod is the CFS period in microseconds; the kernel takes quotas from 1 ms on.
const (
	cpuPeriod   = 100_000
	minNanoCPUs = 10_000_000
)
