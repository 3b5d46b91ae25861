package engine

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/pkg/oci"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The least memory that Docker gives, and the CFS period in microseconds; the kernel
// takes quotas from 1 ms on.
const (
	minMemory   = 6 << 20
	cpuPeriod   = 100_000
	minNanoCPUs = 10_000_000
)

// checkResources refuses resource values that no kernel, or not this one, would take,
// and those that contradict each other. The rules are those of Docker's API.
func (m *machine) checkResources(o *options) error {
	for _, check := range []func(*options) error{m.checkMemory, m.checkCPU, m.checkCpusets, m.checkBlkio, m.checkUlimits} {
		if err := check(o); err != nil {
			return err
		}
	}
	if l := o.HostConfig.PidsLimit; l != nil {
		if *l < -1 {
			return invalid("HostConfig.PidsLimit", "%d is none: -1 and 0 are no limit", *l)
		}
		if *l > 0 {
			return m.needs("HostConfig.PidsLimit", "pids", "pids")
		}
	}
	return nil
}

func (m *machine) checkMemory(o *options) error {
	h := &o.HostConfig
	swappiness := int64(-1)
	if h.MemorySwappiness != nil {
		swappiness = *h.MemorySwappiness
	}
	switch {
	case h.Memory < 0 || h.Memory > 0 && h.Memory < minMemory:
		return invalid("HostConfig.Memory", "%d is neither 0 (no limit) nor at least 6 MiB", h.Memory)
	case h.MemoryReservation < 0 || h.MemoryReservation > 0 && h.MemoryReservation < minMemory:
		return invalid("HostConfig.MemoryReservation", "%d is neither 0 (none) nor at least 6 MiB", h.MemoryReservation)
	case h.Memory > 0 && h.MemoryReservation > h.Memory:
		return invalid("HostConfig.MemoryReservation", "%d is above Memory, %d", h.MemoryReservation, h.Memory)
	case h.MemorySwap < -1:
		return invalid("HostConfig.MemorySwap", "%d is neither -1 (no limit), 0 (twice Memory) nor a size", h.MemorySwap)
	case h.MemorySwap > 0 && h.Memory == 0:
		return invalid("HostConfig.MemorySwap", "it is memory and swap together, so Memory has to be set too")
	case h.MemorySwap > 0 && h.MemorySwap < h.Memory:
		return invalid("HostConfig.MemorySwap", "%d is memory and swap together, and below Memory, %d", h.MemorySwap, h.Memory)
	case swappiness < -1 || swappiness > 100:
		return invalid("HostConfig.MemorySwappiness", "%d is not 0 to 100", swappiness)
	case swappiness >= 0 && m.unified:
		return invalid("HostConfig.MemorySwappiness", "cgroup v2, which this device has, knows no swappiness of a group; use MemorySwap")
	case h.OomKillDisable != nil && *h.OomKillDisable && m.unified:
		return invalid("HostConfig.OomKillDisable", "cgroup v2, which this device has, always kills; use OomScoreAdj")
	case h.OomScoreAdj < -1000 || h.OomScoreAdj > 1000:
		return invalid("HostConfig.OomScoreAdj", "%d is not -1000 to 1000", h.OomScoreAdj)
	}
	for option, asked := range map[string]bool{
		"HostConfig.Memory": h.Memory > 0, "HostConfig.MemoryReservation": h.MemoryReservation > 0, "HostConfig.MemorySwap": h.MemorySwap != 0,
		"HostConfig.MemorySwappiness": swappiness >= 0, "HostConfig.OomKillDisable": h.OomKillDisable != nil && *h.OomKillDisable,
	} {
		if asked {
			if err := m.needs(option, "memory", "memory"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *machine) checkCPU(o *options) error {
	h := &o.HostConfig
	switch {
	case h.NanoCPUs < 0 || h.NanoCPUs > 0 && h.NanoCPUs < minNanoCPUs:
		return invalid("HostConfig.NanoCpus", "%d is neither 0 (no limit) nor at least %d", h.NanoCPUs, minNanoCPUs)
	case h.NanoCPUs > int64(m.cpuCount)*1_000_000_000:
		return invalid("HostConfig.NanoCpus", "%d is more than the %d CPUs of this device", h.NanoCPUs, m.cpuCount)
	case h.NanoCPUs > 0 && h.CPUPeriod != 0:
		return invalid("HostConfig.NanoCpus", "it contradicts CpuPeriod: give one of them")
	case h.NanoCPUs > 0 && h.CPUQuota != 0:
		return invalid("HostConfig.NanoCpus", "it contradicts CpuQuota: give one of them")
	case h.CPUPeriod != 0 && (h.CPUPeriod < 1000 || h.CPUPeriod > 1_000_000):
		return invalid("HostConfig.CpuPeriod", "%d is not 1000 (1 ms) to 1000000 (1 s)", h.CPUPeriod)
	case h.CPUQuota < -1 || h.CPUQuota > 0 && h.CPUQuota < 1000:
		return invalid("HostConfig.CpuQuota", "%d is neither -1 (no limit) nor at least 1000 (1 ms)", h.CPUQuota)
	case h.CPUShares < 0 || h.CPUShares == 1 || h.CPUShares > 262144:
		return invalid("HostConfig.CpuShares", "%d is not 2 to 262144", h.CPUShares)
	}
	if h.NanoCPUs > 0 || h.CPUPeriod > 0 || h.CPUQuota > 0 || h.CPUShares > 0 {
		for option, asked := range map[string]bool{"HostConfig.NanoCpus": h.NanoCPUs > 0, "HostConfig.CpuPeriod": h.CPUPeriod > 0, "HostConfig.CpuQuota": h.CPUQuota > 0, "HostConfig.CpuShares": h.CPUShares > 0} {
			if asked {
				return m.needs(option, "cpu", "cpu")
			}
		}
	}
	return nil
}

func (m *machine) checkCpusets(o *options) error {
	for _, set := range []struct{ name, asked, there string }{
		{"HostConfig.CpusetCpus", o.HostConfig.CpusetCpus, m.cpus},
		{"HostConfig.CpusetMems", o.HostConfig.CpusetMems, m.mems},
	} {
		if set.asked == "" {
			continue
		}
		asked, err := parseList(set.asked)
		if err != nil {
			return invalid(set.name, "%q: %w", set.asked, err)
		}
		there, err := parseList(set.there)
		if err != nil {
			return fmt.Errorf("cannot read the kernel's list %q: %w", set.there, err)
		}
		for n := range asked {
			if !there[n] {
				return invalid(set.name, "%q: this device has %s", set.asked, set.there)
			}
		}
		if err := m.needs(set.name, "cpuset", "cpuset"); err != nil {
			return err
		}
	}
	return nil
}

// maxListed bounds a list of CPUs or memory nodes; the kernel's own bound is 8192.
const maxListed = 8192

// parseList reads the kernel's format of lists, as in "0-2,7"; cpuset(7).
func parseList(s string) (map[int]bool, error) {
	all := map[int]bool{}
	for part := range strings.SplitSeq(s, ",") {
		low, high, ranged := strings.Cut(part, "-")
		from, err := strconv.ParseUint(low, 10, 16)
		to := from
		if err == nil && ranged {
			to, err = strconv.ParseUint(high, 10, 16)
		}
		if err != nil || to < from || to >= maxListed {
			return nil, fmt.Errorf("it is a list of numbers and ranges, as in \"0-2,7\"")
		}
		for n := from; n <= to; n++ {
			all[int(n)] = true
		}
	}
	return all, nil
}

// withResources sets memory, CPU and process limits; runc translates them to cgroup v2.
func withResources(o *options) oci.SpecOpts {
	h := &o.HostConfig
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		if s.Linux.Resources == nil {
			s.Linux.Resources = &specs.LinuxResources{}
		}
		r := s.Linux.Resources
		var mem specs.LinuxMemory
		if h.Memory > 0 {
			mem.Limit = &h.Memory
			swap := h.MemorySwap
			if swap == 0 {
				swap = 2 * h.Memory // Docker's, when swap is not spoken of
			}
			mem.Swap = &swap
		}
		if h.MemoryReservation > 0 {
			mem.Reservation = &h.MemoryReservation
		}
		if h.MemorySwappiness != nil && *h.MemorySwappiness >= 0 {
			swappiness := uint64(*h.MemorySwappiness)
			mem.Swappiness = &swappiness
		}
		if h.OomKillDisable != nil && *h.OomKillDisable {
			mem.DisableOOMKiller = h.OomKillDisable
		}
		if mem != (specs.LinuxMemory{}) {
			r.Memory = &mem
		}
		if cpu := cpuOf(o); cpu != (specs.LinuxCPU{}) {
			r.CPU = &cpu
		}
		if h.PidsLimit != nil && *h.PidsLimit > 0 {
			r.Pids = &specs.LinuxPids{Limit: h.PidsLimit}
		}
		return nil
	}
}

func cpuOf(o *options) specs.LinuxCPU {
	h := &o.HostConfig
	cpu := specs.LinuxCPU{Cpus: h.CpusetCpus, Mems: h.CpusetMems}
	if h.CPUShares > 0 {
		shares := uint64(h.CPUShares)
		cpu.Shares = &shares
	}
	period, quota := uint64(h.CPUPeriod), h.CPUQuota
	if h.NanoCPUs > 0 {
		period, quota = cpuPeriod, h.NanoCPUs/1000*cpuPeriod/1_000_000
	}
	if period > 0 {
		cpu.Period = &period
	}
	if quota != 0 {
		cpu.Quota = &quota
	}
	return cpu
}

// withOOMScore is always set: a module would else inherit containerd's, which
// under Debian's unit makes it nearly unkillable.
func withOOMScore(adj int) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		s.Process.OOMScoreAdj = &adj
		return nil
	}
}
