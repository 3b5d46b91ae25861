package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/moby/moby/api/types/blkiodev"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// throttles are the four rates of a block device, by option.
func throttles(o *options) map[string][]*blkiodev.ThrottleDevice {
	h := &o.HostConfig
	return map[string][]*blkiodev.ThrottleDevice{
		"HostConfig.BlkioDeviceReadBps": h.BlkioDeviceReadBps, "HostConfig.BlkioDeviceWriteBps": h.BlkioDeviceWriteBps,
		"HostConfig.BlkioDeviceReadIOps": h.BlkioDeviceReadIOps, "HostConfig.BlkioDeviceWriteIOps": h.BlkioDeviceWriteIOps,
	}
}

func (m *machine) checkBlkio(o *options) error {
	h := &o.HostConfig
	if w := h.BlkioWeight; w != 0 {
		if err := m.checkWeight("HostConfig.BlkioWeight", w); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for _, d := range h.BlkioWeightDevice {
		const name = "HostConfig.BlkioWeightDevice"
		if d == nil {
			return invalid(name, "an entry is null")
		}
		if err := m.checkWeight(name, d.Weight); err != nil {
			return err
		}
		if err := blockOnce(name, d.Path, seen); err != nil {
			return err
		}
		if !weighs(d.Path) {
			return invalid(name, "the kernel does not weigh input and output of %s: it has to be a whole disk with the scheduler \"bfq\" (/sys/block/.../queue/scheduler)", d.Path)
		}
	}
	for name, list := range throttles(o) {
		seen := map[string]bool{}
		for _, d := range list {
			if d == nil {
				return invalid(name, "an entry is null")
			}
			if err := blockOnce(name, d.Path, seen); err != nil {
				return err
			}
		}
		if len(list) > 0 {
			if err := m.needs(name, "blkio", "io"); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkWeight refuses weights on kernels without BFQ, the one scheduler that heeds them.
func (m *machine) checkWeight(name string, weight uint16) error {
	if weight < 10 || weight > 1000 {
		return invalid(name, "%d is not 10 to 1000", weight)
	}
	if !m.hasGroupFile("blkio/blkio.bfq.weight", "io.bfq.weight") && !m.hasGroupFile("blkio/blkio.weight", "io.weight") {
		return invalid(name, "this device's kernel weighs no input and output (it has no BFQ scheduler); use BlkioDeviceReadBps and the like")
	}
	return nil
}

// weighs says whether a disk's scheduler is BFQ.
func weighs(path string) bool {
	major, minor, err := blockDevice(path)
	if err != nil {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/queue/scheduler", major, minor))
	return err == nil && strings.Contains(string(b), "[bfq]")
}

func blockOnce(option, path string, seen map[string]bool) error {
	if _, _, err := blockDevice(path); err != nil {
		return invalid(option, "%w", err)
	}
	if seen[path] {
		return invalid(option, "device %s is given twice", path)
	}
	seen[path] = true
	return nil
}

// blockDevice returns the number of a block device.
func blockDevice(path string) (major, minor int64, err error) {
	if !filepath.IsAbs(path) {
		return 0, 0, fmt.Errorf("device path %q is not absolute", path)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, fmt.Errorf("cannot find device: %w", &os.PathError{Op: "stat", Path: path, Err: err})
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, 0, fmt.Errorf("%s is not a block device", path)
	}
	return int64(unix.Major(uint64(st.Rdev))), int64(unix.Minor(uint64(st.Rdev))), nil //nolint:unconvert // 32 bits on mips
}

// withBlkio sets weights and rates of block devices.
func withBlkio(o *options) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		h := &o.HostConfig
		var b specs.LinuxBlockIO
		asked := false
		if h.BlkioWeight > 0 {
			b.Weight, asked = &h.BlkioWeight, true
		}
		for _, d := range h.BlkioWeightDevice {
			major, minor, err := blockDevice(d.Path)
			if err != nil {
				return invalid("HostConfig.BlkioWeightDevice", "%w", err)
			}
			w := specs.LinuxWeightDevice{Weight: &d.Weight}
			w.Major, w.Minor = major, minor
			b.WeightDevice, asked = append(b.WeightDevice, w), true
		}
		into := map[string]*[]specs.LinuxThrottleDevice{
			"HostConfig.BlkioDeviceReadBps": &b.ThrottleReadBpsDevice, "HostConfig.BlkioDeviceWriteBps": &b.ThrottleWriteBpsDevice,
			"HostConfig.BlkioDeviceReadIOps": &b.ThrottleReadIOPSDevice, "HostConfig.BlkioDeviceWriteIOps": &b.ThrottleWriteIOPSDevice,
		}
		for name, list := range throttles(o) {
			for _, d := range list {
				major, minor, err := blockDevice(d.Path)
				if err != nil {
					return invalid(name, "%w", err)
				}
				t := specs.LinuxThrottleDevice{Rate: d.Rate}
				t.Major, t.Minor = major, minor
				*into[name], asked = append(*into[name], t), true
			}
		}
		if !asked {
			return nil
		}
		if s.Linux.Resources == nil {
			s.Linux.Resources = &specs.LinuxResources{}
		}
		s.Linux.Resources.BlockIO = &b
		return nil
	}
}
