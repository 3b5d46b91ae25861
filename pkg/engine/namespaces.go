package engine

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/pkg/oci"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/edged/edged/pkg/lazyregexp"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/network"
)

// annotationPIDOf names the module whose PID namespace this one joins. Which process
// that is, only a start can tell.
const annotationPIDOf = "io.edged.pid-of"

// joined returns the module that a mode of the form "container:<module>" names.
func joined(mode string) (string, bool) { return strings.CutPrefix(mode, "container:") }

// checkNamespaces refuses modes that do not exist and those that contradict others.
func checkNamespaces(spec *module.Spec, o *options) error {
	h := &o.HostConfig
	switch mode := string(h.PidMode); {
	case mode == "" || mode == "host":
	case strings.HasPrefix(mode, "container:"):
		other, _ := joined(mode)
		name, err := module.CanonicalName(other)
		if err != nil {
			return invalid("HostConfig.PidMode", "%q names no module: %w", mode, err)
		}
		if name == spec.Name {
			return invalid("HostConfig.PidMode", "a module cannot join itself")
		}
	default:
		return invalid("HostConfig.PidMode", "%q is neither \"host\" nor \"container:<module>\"", mode)
	}
	switch mode := string(h.IpcMode); {
	case slices.Contains([]string{"", "private", "shareable", "host", "none"}, mode):
	case strings.HasPrefix(mode, "container:"):
		return invalid("HostConfig.IpcMode", "%q is not supported: /dev/shm of another module cannot be mounted; bind one folder of a tmpfs at /dev/shm in both", mode)
	default:
		return invalid("HostConfig.IpcMode", "%q is not one of private, shareable, host and none", mode)
	}
	if mode := string(h.UTSMode); mode != "" && mode != "host" {
		return invalid("HostConfig.UTSMode", "%q is not \"host\"", mode)
	}
	if h.UTSMode == "host" && o.Hostname != "" {
		return invalid("HostConfig.UTSMode", "it contradicts Hostname: the host's name is not a module's to change")
	}
	if h.UTSMode == "host" && o.Domainname != "" {
		return invalid("HostConfig.UTSMode", "it contradicts Domainname")
	}
	if mode := string(h.UsernsMode); mode != "" && mode != "host" {
		return invalid("HostConfig.UsernsMode", "%q is not supported: modules are in the host's user namespace; use User and CapDrop", mode)
	}
	if mode := string(h.CgroupnsMode); mode != "" && mode != "private" && mode != "host" {
		return invalid("HostConfig.CgroupnsMode", "%q is neither \"private\" nor \"host\"", mode)
	}
	if o.NetworkDisabled && h.NetworkMode != "" && h.NetworkMode != "none" {
		return invalid("NetworkDisabled", "it contradicts HostConfig.NetworkMode %q", h.NetworkMode)
	}
	return checkSysctls(o)
}

// hostNetwork says whether a module is on the host's own network: by NetworkMode, or as
// manifests for Azure IoT Edge write it, by an endpoint on the network "host" alone.
func hostNetwork(o *options) bool {
	given := o.NetworkingConfig.EndpointsConfig
	_, endpoint := given["host"]
	mode := o.HostConfig.NetworkMode
	return !o.NetworkDisabled && (mode == "host" || mode == "" && endpoint && len(given) == 1)
}

// ipcSysctls are those of an IPC namespace, ipc_namespaces(7); fs.mqueue.* are, too.
var ipcSysctls = []string{
	"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
}

// sysctlName may hold slashes: names of network interfaces can have dots.
var sysctlName = lazyregexp.New(`^[a-z]+\.[A-Za-z0-9_./@:-]+$`)

// checkSysctls lets modules set what their own namespaces hold, and nothing else: the rest is the host's.
func checkSysctls(o *options) error {
	const option = "HostConfig.Sysctls"
	for name, value := range o.HostConfig.Sysctls {
		ipc := slices.Contains(ipcSysctls, name) || strings.HasPrefix(name, "fs.mqueue.")
		switch {
		case !sysctlName().MatchString(name) || strings.Contains(name, ".."):
			return invalid(option, "%q is no name", name)
		case strings.ContainsAny(value, "\x00\n"):
			return invalid(option, "%s: the value is not one line", name)
		case ipc && o.HostConfig.IpcMode == "host":
			return invalid(option, "%s contradicts HostConfig.IpcMode \"host\": it would be the host's", name)
		case ipc:
		case strings.HasPrefix(name, "net.") && hostNetwork(o):
			return invalid(option, "%s contradicts HostConfig.NetworkMode \"host\": it would be the host's", name)
		case strings.HasPrefix(name, "net.") && strings.HasPrefix(string(o.HostConfig.NetworkMode), "container:"):
			return invalid(option, "%s contradicts HostConfig.NetworkMode %q: it would be the other module's", name, o.HostConfig.NetworkMode)
		case strings.HasPrefix(name, "net."):
		case name == "kernel.domainname" && (o.Domainname != "" || o.HostConfig.UTSMode == "host"):
			return invalid(option, "kernel.domainname contradicts Domainname or HostConfig.UTSMode")
		case name == "kernel.domainname":
		default:
			return invalid(option, "%s is the whole host's, not a module's: modules set net.*, fs.mqueue.* and those of System V IPC", name)
		}
	}
	return nil
}

// checkNames refuses what sethostname(2), 64 bytes at most, or a hosts file would not take.
func checkNames(o *options) error {
	for option, name := range map[string]string{"Hostname": o.Hostname, "Domainname": o.Domainname} {
		if name != "" && (len(name) > 64 || !network.ValidName(name)) {
			return invalid(option, "%q is not DNS labels of 64 characters in all", name)
		}
	}
	return nil
}

// withNamespaces gives a module namespaces of its own, but for those that it shares.
func (e *Engine) withNamespaces(c *module.Container, o *options, plan *network.Plan) oci.SpecOpts {
	h := &o.HostConfig
	return func(ctx context.Context, client oci.Client, ctr *ociContainer, s *oci.Spec) error {
		var opts []oci.SpecOpts
		if string(h.CgroupnsMode) != "host" {
			// On v1 too: without it a privileged module sees the whole hierarchy and can leave its place.
			opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace}))
		}
		opts = append(opts, e.withNetwork(c.ID, plan))
		if h.PidMode == "host" {
			opts = append(opts, oci.WithHostNamespace(specs.PIDNamespace))
		} else if other, ok := joined(string(h.PidMode)); ok {
			opts = append(opts, oci.WithAnnotations(map[string]string{annotationPIDOf: other}))
		}
		if h.IpcMode == "host" {
			opts = append(opts, oci.WithHostNamespace(specs.IPCNamespace))
		}
		if h.UTSMode == "host" {
			opts = append(opts, oci.WithHostNamespace(specs.UTSNamespace))
		} else {
			opts = append(opts, oci.WithHostname(hostname(c.Spec.Name, o)))
		}
		for _, opt := range append(opts, withSysctls(o, plan)) {
			if err := opt(ctx, client, ctr, s); err != nil {
				return err
			}
		}
		return nil
	}
}

// withNetwork chooses the network namespace: the module's own, which is there before
// the container and after it, another module's, an empty one, or the host's.
func (e *Engine) withNetwork(id string, plan *network.Plan) oci.SpecOpts {
	path := ""
	switch plan.Mode {
	case network.ModeHost:
		return oci.WithHostNamespace(specs.NetworkNamespace)
	case network.ModeNetworks:
		path = e.Networks.NetNS(keyOf(id))
	case network.ModeModule:
		path = e.Networks.NetNS(keyOf(ownID(plan.Module)))
	}
	return oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: path})
}

// withSysctls sets Docker's for a network namespace of one's own, and those asked for.
func withSysctls(o *options, plan *network.Plan) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		all := map[string]string{}
		if plan.Mode == network.ModeNone || plan.Mode == network.ModeNetworks {
			all["net.ipv4.ip_unprivileged_port_start"] = "0"
			all["net.ipv4.ping_group_range"] = "0 2147483647"
		}
		if o.Domainname != "" {
			all[sysctlDomain] = o.Domainname // runc before 1.2 knows no other way
		}
		maps.Copy(all, o.HostConfig.Sysctls)
		if s.Linux.Sysctl == nil {
			s.Linux.Sysctl = map[string]string{}
		}
		maps.Copy(s.Linux.Sysctl, all)
		return nil
	}
}

const sysctlDomain = "kernel.domainname"

// hostname is the one asked for, the host's on its network or in its UTS namespace, else
// the module's default.
func hostname(name string, o *options) string {
	switch {
	case o.Hostname != "":
		return o.Hostname
	case hostNetwork(o) || o.HostConfig.UTSMode == "host":
		if host, err := os.Hostname(); err == nil {
			return host
		}
	}
	return module.DefaultHostname(name)
}
