package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is what this device can do, as far as createOptions can ask for it. It is
// read once; only what is plugged in is looked at each time.
type machine struct {
	// hard are edged's own hard limits by Docker's name: runc cannot give a module more than
	// its parents hold, and fails late and unclearly when asked to.
	hard map[string]uint64
	// unified says that the controllers are on cgroup v2.
	unified bool
	// controllers are the cgroup controllers there are; nil is not known.
	controllers map[string]bool
	// cpus and mems are the lists of CPUs and memory nodes that are there, as in "0-3".
	cpus, mems string
	cpuCount   int
	// cgroups is where the hierarchies are mounted.
	cgroups string
	// recursiveReadOnly says that a mount and all below it can be made read-only (Linux 5.12, mount_setattr(2)).
	recursiveReadOnly bool
	// appArmor and seLinux say whether these security modules are on.
	appArmor func() bool
	seLinux  bool
}

// dockerNoFile is what Docker gives a container when nobody says otherwise.
const dockerNoFile = 1 << 20

// noFile is a module's limit of open files when nobody says otherwise.
func (m *machine) noFile() uint64 { return min(m.hard["nofile"], dockerNoFile) }

// ownMachine reads the facts of the device that it runs on.
func ownMachine() (machine, error) {
	m := machine{hard: map[string]uint64{}, cgroups: "/sys/fs/cgroup", cpuCount: runtime.NumCPU()}
	for name, id := range rlimits {
		var r unix.Rlimit
		if err := unix.Getrlimit(id, &r); err != nil {
			return m, fmt.Errorf("cannot read own limits: %w", err)
		}
		m.hard[name] = r.Max
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(m.cgroups, &fs); err == nil {
		m.unified = fs.Type == unix.CGROUP2_SUPER_MAGIC
	}
	m.controllers = readControllers(m.cgroups, m.unified)
	m.cpus = oneLine("/sys/devices/system/cpu/online", fmt.Sprintf("0-%d", m.cpuCount-1))
	m.mems = oneLine("/sys/devices/system/node/online", "0")
	m.recursiveReadOnly = kernelAtLeast(5, 12)
	m.appArmor = appArmorOn
	_, err := os.Stat("/sys/fs/selinux/enforce")
	m.seLinux = err == nil
	return m, nil
}

// readControllers returns nil when the kernel does not tell: then nothing is refused for it.
func readControllers(cgroups string, unified bool) map[string]bool {
	all := map[string]bool{}
	if unified {
		b, err := os.ReadFile(filepath.Join(cgroups, "cgroup.controllers"))
		if err != nil {
			return nil
		}
		for name := range strings.FieldsSeq(string(b)) {
			all[name] = true
		}
		return all
	}
	b, err := os.ReadFile("/proc/cgroups") // name, hierarchy, groups, enabled; cgroups(7)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 4 && f[3] == "1" {
			if _, err := os.Stat(filepath.Join(cgroups, f[0])); err == nil {
				all[f[0]] = true
			}
		}
	}
	return all
}

// needs refuses an option whose controller the kernel does not have; on a Raspberry Pi
// memory is off unless the kernel's command line asks for it.
func (m *machine) needs(option, v1, v2 string) error {
	name := v1
	if m.unified {
		name = v2
	}
	if m.controllers == nil || m.controllers[name] {
		return nil
	}
	return invalid(option, "this device's kernel has no cgroup controller %q switched on (the kernel's command line may: cgroup_enable=%s)", name, name)
}

// hasGroupFile looks for a control file in the root group or in one of those below:
// some files are only there.
func (m *machine) hasGroupFile(v1, v2 string) bool {
	dir := filepath.Join(m.cgroups, v1)
	if m.unified {
		dir = filepath.Join(m.cgroups, v2)
	}
	if _, err := os.Stat(dir); err == nil {
		return true
	}
	found, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*", filepath.Base(dir)))
	return err == nil && len(found) > 0
}

func oneLine(file, otherwise string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return otherwise
	}
	return strings.TrimSpace(string(b))
}

func kernelAtLeast(major, minor int) bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	parts := strings.FieldsFunc(unix.ByteSliceToString(u.Release[:]), func(r rune) bool { return r < '0' || r > '9' })
	if len(parts) < 2 {
		return false
	}
	a, _ := strconv.Atoi(parts[0])
	b, _ := strconv.Atoi(parts[1])
	return a > major || a == major && b >= minor
}
