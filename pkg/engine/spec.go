package engine

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
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
	mounts, pins := e.volumesAsBinds(c.ID, mounts)
	mounts = withFiles(files, mounts, 1+len(c.Mounts))
	h := &o.HostConfig
	look := func(ctx context.Context, do func(root string) error) error {
		return e.withImage(ctx, c.ID, image.chainID, do)
	}
	opts := []oci.SpecOpts{
		withProcess(c, o, image.config),
		withUser(o, image, look),
		withGroupAdd(o, image, look),
		withGroups(c.Groups),
		withUmask(o),
		oci.WithoutRunMount, // images expect their own /run
		withShm(o),
		withMounts(append([]specs.Mount{cgroupMount()}, mounts...)),
		e.withUlimits(h.Ulimits),
		withOOMScore(h.OomScoreAdj),
		withResources(o),
		withBlkio(o),
		e.withCaps(o),
		e.withCgroup(c.ID, h.CgroupParent),
		e.withNamespaces(c, o, plan),
		withTerminal(o),
		e.withInit(o),
	}
	if h.ReadonlyRootfs {
		opts = append(opts, oci.WithRootFSReadonly())
	}
	if len(h.Annotations) > 0 {
		opts = append(opts, oci.WithAnnotations(h.Annotations))
	}
	health, err := healthAnnotation(o, &image)
	if err != nil {
		return nil, err
	}
	if health != nil {
		opts = append(opts, oci.WithAnnotations(health))
	}
	if len(pins) > 0 {
		opts = append(opts, oci.WithAnnotations(pins))
	}
	if e.SharedShim {
		opts = append(opts, oci.WithAnnotations(map[string]string{shimGroup: "edged"}))
	}
	if h.Privileged {
		opts = append(opts, oci.WithPrivileged, e.withHeldCaps, oci.WithAllDevicesAllowed)
	}
	// The seccomp profile allows calls by the capabilities it finds, so it comes behind them; what describes a
	// device may edit anything, so it comes behind all.
	return append(opts, e.withDevices(o), withDeviceRules(o), e.withSecurity(o), e.withDeviceRequests(o, c.Sockets)), nil
}

// withFiles puts edged's /etc/hosts and the like where they belong: into a volume at
// /etc, but under a module's own /etc/hosts. The last own mounts stay the last.
func withFiles(files, mounts []specs.Mount, own int) []specs.Mount {
	asked := len(mounts) - own
	all := slices.Concat(files, mounts[:asked])
	slices.SortStableFunc(all, byDepth)
	return append(all, mounts[asked:]...)
}

// byDepth sorts as Docker does: /data/sub goes into what is mounted at /data, and not
// the reverse.
func byDepth(a, b specs.Mount) int {
	return strings.Count(a.Destination, "/") - strings.Count(b.Destination, "/")
}

// cgroupMount is where Docker shows a module its own limits. It is made anew each time:
// what makes it writable for a privileged module writes into its options.
func cgroupMount() specs.Mount {
	return specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}}
}

// withMounts puts a module's mounts behind the runtime's own and takes those away
// that they replace: a bind at /dev brings its own /dev/shm.
func withMounts(mounts []specs.Mount) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		replaced := func(own specs.Mount) bool {
			return slices.ContainsFunc(mounts, func(m specs.Mount) bool {
				return m.Destination == own.Destination || m.Destination == "/dev" && within(own.Destination, "/dev")
			})
		}
		s.Mounts = append(slices.DeleteFunc(s.Mounts, replaced), mounts...)
		return nil
	}
}

// withTerminal gives a module a terminal of the size asked for; its master is the
// shim's, which passes on what comes out of it.
func withTerminal(o *options) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		s.Process.Terminal = o.Tty
		if size := o.HostConfig.ConsoleSize; o.Tty && size != [2]uint{} {
			s.Process.ConsoleSize = &specs.Box{Height: size[0], Width: size[1]}
		}
		return nil
	}
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
		basic := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + hostname(c.Spec.Name, o)}
		if o.Tty {
			basic = append(basic, "TERM=xterm")
		}
		s.Process.Env = mergeEnv(basic, image.Env, c.Defaults, o.Env, own, c.Identity)
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
