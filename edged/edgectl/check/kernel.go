package check

import (
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// feature is something that the kernel must have, by its option and its module.
type feature struct {
	name, option, module string
	// shown says that the running kernel shows that it has it.
	shown func(d *device) bool
}

func features() []feature {
	ns := func(name string) func(*device) bool {
		return func(d *device) bool { return d.exists("/proc/self/ns/" + name) }
	}
	return []feature{
		{"overlay file systems", "CONFIG_OVERLAY_FS", "overlay", func(d *device) bool {
			return strings.Contains(d.read("/proc/filesystems"), "\toverlay\n")
		}},
		{"pairs of network interfaces", "CONFIG_VETH", "veth", nil},
		{"bridges", "CONFIG_BRIDGE", "bridge", nil},
		{"address translation", "CONFIG_NF_NAT", "nf_nat", nil},
		{"connection tracking", "CONFIG_NF_CONNTRACK", "nf_conntrack", nil},
		{"seccomp filters", "CONFIG_SECCOMP_FILTER", "", func(d *device) bool { return d.exists("/proc/sys/kernel/seccomp/actions_avail") }},
		{"process namespaces", "CONFIG_PID_NS", "", ns("pid")},
		{"network namespaces", "CONFIG_NET_NS", "", ns("net")},
		{"cgroup namespaces", "CONFIG_CGROUPS", "", ns("cgroup")},
		{"message queue namespaces", "CONFIG_IPC_NS", "", ns("ipc")},
	}
}

func (d *device) kernel(context.Context) outcome {
	release := strings.TrimSpace(d.read("/proc/sys/kernel/osrelease"))
	options := d.kernelOptions(release)
	builtin := d.read(filepath.Join("/lib/modules", release, "modules.builtin"))
	loadable := d.read(filepath.Join("/lib/modules", release, "modules.dep"))
	var missing, unsure []string
	for _, f := range features() {
		known := options != "" || f.module != "" && (builtin != "" || loadable != "")
		switch {
		case f.shown != nil && f.shown(d),
			f.module != "" && d.exists("/sys/module/"+f.module),
			strings.Contains(options, "\n"+f.option+"=y"), strings.Contains(options, "\n"+f.option+"=m"),
			f.module != "" && hasModule(builtin, f.module), f.module != "" && hasModule(loadable, f.module):
		case known || f.module == "":
			missing = append(missing, f.name+" ("+f.option+")")
		default:
			unsure = append(unsure, f.name+" ("+f.option+")")
		}
	}
	switch {
	case missing != nil:
		return bad("use a kernel with these options, or install the rest of its modules (linux-modules-extra of some distributions)",
			"kernel %s lacks %s", release, strings.Join(missing, ", "))
	case unsure != nil:
		return warn("try: modprobe overlay veth bridge nf_nat; install the modules of the kernel that runs, and restart after a kernel's upgrade",
			"kernel %s does not tell whether it has %s: neither its options nor its modules can be found", release, strings.Join(unsure, ", "))
	}
	return fine("kernel %s has all", release)
}

// hasModule looks for a module's file in a list of modprobe's.
func hasModule(list, module string) bool {
	return strings.Contains(list, "/"+module+".ko")
}

// maxOptions bounds an unpacked configuration of a kernel; they have 300 KiB.
const maxOptions = 4 << 20

// kernelOptions is the kernel's configuration with a newline before each line,
// empty when it is nowhere.
func (d *device) kernelOptions(release string) string {
	if text := d.read("/boot/config-" + release); text != "" {
		return "\n" + text
	}
	f, err := os.Open(d.path("/proc/config.gz"))
	if err != nil {
		return ""
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(z, maxOptions))
	if err != nil {
		return ""
	}
	return "\n" + string(text)
}

// cgroups looks at the hierarchy that limits are set in: /sys/fs/cgroup itself on v2,
// a folder a controller on v1 and hybrid.
func (d *device) cgroups(context.Context) outcome {
	const cure = "on boards that boot without it add cgroup_enable=memory cgroup_memory=1 to the kernel's command line and restart"
	version, missing := "v2", []string{}
	if there := d.read("/sys/fs/cgroup/cgroup.controllers"); there != "" {
		for _, name := range []string{"cpu", "memory", "pids"} {
			if !strings.Contains(" "+strings.TrimSpace(there)+" ", " "+name+" ") {
				missing = append(missing, name)
			}
		}
	} else {
		version = "v1"
		if !d.exists("/sys/fs/cgroup/devices") {
			return bad("mount the cgroup file systems: on systems without systemd the package cgroupfs-mount does it", "no cgroups are mounted at /sys/fs/cgroup: containers cannot be made")
		}
		for _, name := range []string{"cpu", "memory", "pids", "freezer"} {
			if !d.exists("/sys/fs/cgroup/" + name) {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) > 0 {
		return warn(cure, "cgroups %s without %s: modules cannot be held to a limit of it, and one that takes all of it takes it from all", version, strings.Join(missing, ", "))
	}
	return fine("cgroups %s with all controllers", version)
}
