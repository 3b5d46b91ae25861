package system

import (
	"bytes"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/client/wire"
)

// Info says what the device is, in the words of the contract. What needs more than
// the kernel's files, versions above all, is for the caller to fill in.
func (r Root) Info() wire.SystemInfo {
	info := wire.SystemInfo{
		OSType: "Linux", Architecture: runtime.GOARCH, CPUs: runtime.NumCPU(),
		TotalMemory: int64(r.pairs("proc/meminfo")["MemTotal"] << 10), // #nosec G115 -- no machine has 2^63 bytes
		Virtualized: r.virtualized(),
		ProductName: r.word("sys/class/dmi/id/product_name"), SystemVendor: r.word("sys/class/dmi/id/sys_vendor"),
		Provisioning: wire.Provisioning{Type: "manual"},
	}
	if info.ProductName == "" {
		info.ProductName = strings.TrimRight(r.word("sys/firmware/devicetree/base/model"), "\x00") // boards without DMI
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		info.Architecture = unix.ByteSliceToString(u.Machine[:])
		info.KernelRelease = unix.ByteSliceToString(u.Release[:])
		info.KernelVersion = unix.ByteSliceToString(u.Version[:])
	}
	release := r.osRelease()
	info.OS, info.OSVersion = release["ID"], release["VERSION_ID"]
	info.OSVariant, info.OSBuild = release["VARIANT_ID"], release["BUILD_ID"]
	return info
}

// osRelease reads os-release(5).
func (r Root) osRelease() map[string]string {
	b, err := r.read("etc/os-release")
	if err != nil {
		b, err = r.read("usr/lib/os-release")
	}
	if err != nil {
		return nil
	}
	m := map[string]string{}
	for line := range bytes.Lines(b) {
		if key, value, ok := strings.Cut(strings.TrimSpace(string(line)), "="); ok {
			m[key] = strings.Trim(value, `"'`)
		}
	}
	return m
}

// virtualized is "yes", "no" or "unknown". A hypervisor shows itself in the flags of
// the processor on x86; elsewhere the device tree or DMI name the common ones.
func (r Root) virtualized() string {
	cpu, err := r.read("proc/cpuinfo")
	switch {
	case err != nil:
		return "unknown"
	case bytes.Contains(cpu, []byte(" hypervisor")):
		return "yes"
	case bytes.Contains(cpu, []byte("\nflags\t")):
		return "no"
	}
	if _, err := r.read("proc/device-tree/hypervisor/compatible"); err == nil {
		return "yes"
	}
	vendor := r.word("sys/class/dmi/id/sys_vendor")
	for _, known := range []string{"QEMU", "VMware", "Xen", "Amazon EC2", "Microsoft Corporation", "Google"} {
		if strings.HasPrefix(vendor, known) {
			return "yes"
		}
	}
	return "unknown"
}
