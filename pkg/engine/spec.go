package engine

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/contrib/apparmor"
	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	apparmorhost "github.com/containerd/containerd/v2/pkg/apparmor"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/network"
)

// ociContainer is what spec options are applied for.
type ociContainer = containers.Container

// shimGroup is the annotation by which containerd's shim puts tasks together.
const shimGroup = "io.containerd.runc.v2.group"

// specOptions builds the OCI spec of a container with Docker's defaults, which
// differ from containerd's in ways that bite: see each option.
func (e *Engine) specOptions(c *module.Container, o *options, image unpacked, plan *network.Plan, files []specs.Mount) ([]oci.SpecOpts, error) {
	mounts, err := e.mounts(&c.Spec, o, c.Sockets, c.Mounts)
	if err != nil {
		return nil, err
	}
	h := &o.HostConfig
	opts := []oci.SpecOpts{
		withProcess(c, o, image.config),
		withUser(o, image),
		oci.WithoutRunMount, // images expect their own /run
		oci.WithMounts(append(append([]specs.Mount{cgroupMount}, files...), mounts...)),
		oci.WithNewPrivileges,
		e.withLimits(),
		withOOMScore(h.OomScoreAdj),
		withCaps(o),
		e.withCgroup(c.ID, h.CgroupParent),
		oci.WithHostname(hostname(c.ID, o)),
	}
	if string(h.CgroupnsMode) != "host" {
		// On v1 too: without it a privileged module sees the whole hierarchy and can leave its place.
		opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace}))
	}
	opts = append(opts, e.withNetwork(c.ID, plan)...)
	if h.Memory > 0 {
		// Docker's: twice the memory in all, when swap is not spoken of.
		opts = append(opts, oci.WithMemoryLimit(uint64(h.Memory)), oci.WithMemorySwap(2*h.Memory))
	}
	if h.NanoCPUs > 0 {
		opts = append(opts, oci.WithCPUCFS(h.NanoCPUs/1000*cpuPeriod/1_000_000, cpuPeriod))
	}
	if h.PidsLimit != nil && *h.PidsLimit > 0 {
		opts = append(opts, oci.WithPidsLimit(*h.PidsLimit))
	}
	if h.ReadonlyRootfs {
		opts = append(opts, oci.WithRootFSReadonly())
	}
	if e.SharedShim {
		opts = append(opts, oci.WithAnnotations(map[string]string{shimGroup: "edged"}))
	}
	if len(c.Groups) > 0 {
		opts = append(opts, withGroups(c.Groups))
	}
	if h.Privileged {
		return append(opts, oci.WithPrivileged, oci.WithAllDevicesAllowed, oci.WithHostDevices, oci.WithNewPrivileges, withWritableCgroup), nil
	}
	if apparmorhost.HostSupports() {
		opts = append(opts, apparmor.WithDefaultProfile("edged-default"))
	}
	// Last, because it allows calls by the capabilities it finds.
	return append(opts, seccomp.WithDefaultProfile()), nil
}

// cgroupMount is where Docker shows a module its own limits.
var cgroupMount = specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}}

func withWritableCgroup(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
	for i := range s.Mounts {
		if s.Mounts[i].Type == "cgroup" {
			s.Mounts[i].Options = []string{"rw", "nosuid", "noexec", "nodev"}
		}
	}
	return nil
}

// withProcess sets arguments, directory and environment: an Entrypoint given
// clears the image's Cmd, and the environment is, from weak to strong, the image's,
// createOptions.Env, config.env, and what edged says of the module's identity.
func withProcess(c *module.Container, o *options, image ocispec.ImageConfig) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		entrypoint, cmd := image.Entrypoint, image.Cmd
		if len(o.Entrypoint) > 0 {
			entrypoint, cmd = o.Entrypoint, nil
		}
		if len(o.Entrypoint) == 1 && o.Entrypoint[0] == "" {
			entrypoint = nil // Docker's way to take the image's away
		}
		if len(o.Cmd) > 0 {
			cmd = o.Cmd
		}
		s.Process.Args = slices.Concat(entrypoint, cmd)
		s.Process.Cwd = "/"
		for _, dir := range []string{image.WorkingDir, o.WorkingDir} {
			if dir != "" {
				s.Process.Cwd = path.Join("/", dir)
			}
		}
		var own []string
		for _, v := range c.Spec.Env {
			own = append(own, v.Key+"="+v.Value)
		}
		s.Process.Env = mergeEnv(
			[]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + hostname(c.ID, o)},
			image.Env, c.Defaults, o.Env, own, c.Identity)
		return nil
	}
}

// mergeEnv joins lists of KEY=value; a later one wins by key and keeps the place
// of the first. A bare KEY takes the variable away, as Docker does.
func mergeEnv(lists ...[]string) []string {
	var env []string
	at := map[string]int{}
	for _, kv := range slices.Concat(lists...) {
		key, _, given := strings.Cut(kv, "=")
		i, known := at[key]
		switch {
		case known && given:
			env[i] = kv
		case known:
			env[i] = ""
		case given:
			at[key] = len(env)
			env = append(env, kv)
		}
	}
	return slices.DeleteFunc(env, func(kv string) bool { return kv == "" })
}

// withUser looks names and supplementary groups up in the image, as Docker does. To
// look, the file system has to be mounted; what is in an image never changes, so what
// was found there once is remembered with it.
func withUser(o *options, image unpacked) oci.SpecOpts {
	user := image.config.User
	if o.User != "" {
		user = o.User
	}
	return func(ctx context.Context, c oci.Client, ctr *ociContainer, s *oci.Spec) error {
		if found, ok := image.users.Load(user); ok {
			s.Process.User = cloneUser(found.(specs.User))
			return nil
		}
		if user != "" {
			if err := oci.WithUser(user)(ctx, c, ctr, s); err != nil {
				if err = classify(err); !errdefs.IsUnavailable(err) {
					err = fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument) // the image does not know it
				}
				return fmt.Errorf("cannot use User %q: %w", user, err)
			}
		}
		name, _, _ := strings.Cut(user, ":")
		if name == "" {
			name = "0"
		}
		if err := oci.WithAdditionalGIDs(name)(ctx, c, ctr, s); err != nil {
			return err
		}
		image.users.Store(user, cloneUser(s.Process.User))
		return nil
	}
}

func cloneUser(u specs.User) specs.User {
	u.AdditionalGids = slices.Clone(u.AdditionalGids)
	return u
}

func withGroups(gids []uint32) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		for _, gid := range gids {
			if !slices.Contains(s.Process.User.AdditionalGids, gid) {
				s.Process.User.AdditionalGids = append(s.Process.User.AdditionalGids, gid)
			}
		}
		return nil
	}
}

// withLimits replaces containerd's 1,024 open files by Docker's limit, as far as edged's own goes.
func (e *Engine) withLimits() oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: e.limits.noFile, Soft: e.limits.noFile}}
		return nil
	}
}

// withOOMScore is always set: a module would else inherit containerd's, which
// under Debian's unit makes it nearly unkillable.
func withOOMScore(adj int) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		s.Process.OOMScoreAdj = &adj
		return nil
	}
}

// withNetwork chooses the network namespace: the module's own, which is there before
// the container and after it, another module's, an empty one, or the host's.
func (e *Engine) withNetwork(id string, plan *network.Plan) []oci.SpecOpts {
	path := ""
	switch plan.Mode {
	case network.ModeHost:
		return []oci.SpecOpts{oci.WithHostNamespace(specs.NetworkNamespace)}
	case network.ModeNetworks:
		path = e.Networks.NetNS(keyOf(id))
	case network.ModeModule:
		// Its sysctls are the other module's, too.
		path = e.Networks.NetNS(keyOf(ownID(plan.Module)))
		return []oci.SpecOpts{oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: path})}
	}
	return []oci.SpecOpts{oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: path}), withSysctls}
}

// withSysctls are Docker's for a network namespace of one's own.
func withSysctls(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
	if s.Linux.Sysctl == nil {
		s.Linux.Sysctl = map[string]string{}
	}
	maps.Copy(s.Linux.Sysctl, map[string]string{
		"net.ipv4.ip_unprivileged_port_start": "0",
		"net.ipv4.ping_group_range":           "0 2147483647",
	})
	return nil
}

// withCgroup chooses the path itself, so that two daemons with namespaces of their
// own never meet in one place. CgroupParent goes where it says.
func (e *Engine) withCgroup(id, parent string) oci.SpecOpts {
	if e.SystemdCgroup {
		if parent == "" {
			parent = "system.slice"
		}
		return oci.WithCgroup(parent + ":edged:" + id)
	}
	if parent == "" {
		parent = e.Namespace
	}
	return oci.WithCgroup(path.Join("/", parent, id))
}
