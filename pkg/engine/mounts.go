package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/mountns"
)

// mounts reads Binds, Mounts and Volumes, adds edged's own, and puts the module's sockets
// last, so that nothing a module asks for lies over them. Bind sources that are
// missing are made at create, as Docker does, not here, and so are volumes: a volume
// is a mount of type "volume" whose source is its name. Errors are errdefs.InvalidArgument.
func (e *Engine) mounts(spec *module.Spec, o *options, sockets string, own []module.Mount) ([]specs.Mount, error) {
	return mountns.In(e.MountNS, func() ([]specs.Mount, error) { return e.readMounts(spec, o, sockets, own) })
}

func (e *Engine) readMounts(spec *module.Spec, o *options, sockets string, own []module.Mount) ([]specs.Mount, error) {
	var all []specs.Mount
	for _, b := range o.HostConfig.Binds {
		m, err := parseBind(b)
		if err == nil {
			m, err = e.kernelCan(m)
		}
		if err == nil {
			m, err = e.guard(m, spec, sockets)
		}
		if err != nil {
			return nil, fmt.Errorf("invalid createOptions.HostConfig.Binds entry %q: %w: %w", b, err, errdefs.ErrInvalidArgument)
		}
		all = append(all, m)
	}
	for i := range o.HostConfig.Mounts {
		m, err := parseMount(&o.HostConfig.Mounts[i])
		if err == nil {
			m, err = e.kernelCan(m)
		}
		if err == nil {
			m, err = e.guard(m, spec, sockets)
		}
		if err != nil {
			return nil, fmt.Errorf("invalid createOptions.HostConfig.Mounts entry for %q: %w: %w", o.HostConfig.Mounts[i].Target, err, errdefs.ErrInvalidArgument)
		}
		all = append(all, m)
	}
	for _, target := range slices.Sorted(maps.Keys(o.HostConfig.Tmpfs)) {
		m, err := parseTmpfs(target, o.HostConfig.Tmpfs[target])
		if err == nil {
			m, err = e.guard(m, spec, sockets)
		}
		if err != nil {
			return nil, fmt.Errorf("invalid createOptions.HostConfig.Tmpfs entry for %q: %w: %w", target, err, errdefs.ErrInvalidArgument)
		}
		all = append(all, m)
	}
	all, err := e.anonymousVolumes(all, spec, o)
	if err != nil {
		return nil, err
	}
	seen := map[string]string{}
	var once []specs.Mount
	for _, m := range all {
		source, twice := seen[m.Destination]
		switch {
		case !twice:
			once = append(once, m)
		case source != sockets || m.Source != sockets: // both sockets are in one directory
			return nil, fmt.Errorf("duplicate mount point %q: %w", m.Destination, errdefs.ErrInvalidArgument)
		}
		seen[m.Destination] = m.Source
	}
	for i := range spec.Secrets {
		// Whose they are is edged's doing; where the module wants them is its own.
		p := spec.Secrets[i].Path
		if err := besideSockets(p); err != nil {
			return nil, fmt.Errorf("invalid settings.secrets[%q].path: %w: %w", spec.Secrets[i].Name, err, errdefs.ErrInvalidArgument)
		}
		if _, twice := seen[p]; twice {
			return nil, fmt.Errorf("invalid settings.secrets[%q].path: createOptions mounts something on %s: %w", spec.Secrets[i].Name, p, errdefs.ErrInvalidArgument)
		}
	}
	all = once
	slices.SortStableFunc(all, byDepth)
	for _, m := range own {
		mode := "rw"
		if m.ReadOnly {
			mode = "ro"
		}
		all = append(all, specs.Mount{Destination: m.Destination, Source: m.Source, Type: "bind", Options: []string{"rbind", "rprivate", mode, "nosuid", "nodev", "noexec"}})
	}
	return append(all, socketMount(module.SocketDir, sockets)), nil
}

// socketMount mounts the directory, not the sockets in it: a socket made anew is
// then seen at once, where a mounted socket file would stay dead.
func socketMount(destination, sockets string) specs.Mount {
	return specs.Mount{Destination: destination, Source: sockets, Type: "bind", Options: []string{"bind", "rprivate", "ro", "nosuid", "nodev", "noexec"}}
}

// propagations are those of a bind, mount_namespaces(7).
var propagations = []string{"private", "rprivate", "shared", "rshared", "slave", "rslave"}

// parseBind reads "source:destination[:options]".
func parseBind(b string) (specs.Mount, error) {
	parts := strings.Split(b, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return specs.Mount{}, errors.New("it is source:destination[:options]")
	}
	m := specs.Mount{Source: parts[0], Destination: parts[1], Type: "bind"}
	if !filepath.IsAbs(m.Source) {
		return parseNamedVolume(m, strings.Join(parts[2:], ""))
	}
	mode, propagation := "rw", "rprivate"
	if len(parts) == 3 {
		for opt := range strings.SplitSeq(parts[2], ",") {
			switch {
			case opt == "rw", opt == "ro":
				mode = opt
			case slices.Contains([]string{"z", "Z", "nocopy", ""}, opt):
				// SELinux relabelling is not needed for what edged mounts; nocopy is about volumes.
			case slices.Contains(propagations, opt):
				propagation = opt
			default:
				return m, fmt.Errorf("unknown option %q", opt)
			}
		}
	}
	m.Options = []string{"rbind", propagation, mode}
	if mode == "ro" && propagation == "rprivate" {
		m.Options = append(m.Options, recursiveReadOnly)
	}
	return m, nil
}

func parseMount(in *mount.Mount) (specs.Mount, error) {
	m := specs.Mount{Destination: in.Target, Type: string(in.Type), Source: in.Source}
	if in.ImageOptions != nil || in.ClusterOptions != nil {
		return m, errors.New("ImageOptions and ClusterOptions are not supported by this version of edged")
	}
	if in.VolumeOptions != nil && in.Type != mount.TypeVolume {
		return m, errors.New("only a mount of type volume has VolumeOptions")
	}
	switch in.Type {
	case mount.TypeVolume:
		return parseVolume(in, m)
	case mount.TypeBind:
		return bindMount(in, m)
	case mount.TypeTmpfs:
		return tmpfsMount(in, m)
	default:
		return m, fmt.Errorf("mount type %q is not supported by this version of edged: it knows \"bind\", \"volume\" and \"tmpfs\"", in.Type)
	}
}

// legacySockets are the paths under which manifests written for Azure IoT Edge
// bind its sockets; such a bind gets edged's own.
var legacySockets = []string{"/var/run/iotedge", "/run/iotedge", "/var/lib/aziot/edged/mnt", "/var/lib/iotedge/mnt"}

// guard keeps mounts away from the sockets and from what is edged's or containerd's.
func (e *Engine) guard(m specs.Mount, spec *module.Spec, sockets string) (specs.Mount, error) {
	if !path.IsAbs(m.Destination) || path.Clean(m.Destination) == "/" {
		return m, fmt.Errorf("mount point %q is not an absolute path below /", m.Destination)
	}
	m.Destination = path.Clean(m.Destination)
	if m.Type == "bind" && isLegacySocket(m.Source) {
		return legacyMount(m, spec, sockets)
	}
	if err := besideSockets(m.Destination); err != nil {
		return m, err
	}
	if m.Type != "bind" {
		return m, nil
	}
	real, err := resolve(m.Source)
	if err != nil {
		return m, err
	}
	for _, p := range append([]string{e.Home, e.Run}, e.Protected...) {
		if p, err = resolve(p); err != nil {
			return m, err
		}
		if within(real, p) && !slices.ContainsFunc(e.AgentFolders, func(f string) bool { return within(real, f) }) {
			return m, fmt.Errorf("source %s is in %s, which is not for modules", m.Source, p)
		}
	}
	// The path that was judged is the path that is mounted.
	m.Source = real
	return m, nil
}

func isLegacySocket(source string) bool {
	source = path.Clean(source)
	return slices.Contains(legacySockets, path.Dir(source)) && strings.HasSuffix(source, ".sock")
}

// besideSockets refuses a mount point on or over the module's sockets.
func besideSockets(destination string) error {
	inside := destination
	if inside == "/var/run" || strings.HasPrefix(inside, "/var/run/") {
		inside = inside[len("/var"):] // the same place in most images
	}
	if within(inside, module.SocketDir) || within(module.SocketDir, inside) {
		return fmt.Errorf("mount point %s is on or over %s, where the module's sockets are", destination, module.SocketDir)
	}
	return nil
}

// legacyMount gives a bind of the old daemon's socket the directory with edged's.
func legacyMount(m specs.Mount, spec *module.Spec, sockets string) (specs.Mount, error) {
	want := "workload.sock"
	if path.Base(m.Source) == "mgmt.sock" {
		want = "mgmt.sock"
		if spec.Name != module.AgentName && !spec.Management {
			return m, errors.New("the management socket goes only to modules whose settings.management is true")
		}
	}
	if path.Base(m.Destination) != want {
		return m, fmt.Errorf("the socket can be mounted under the name %s only", want)
	}
	dir := path.Dir(m.Destination)
	if strings.Count(dir, "/") < 2 {
		// The whole directory is mounted: on /etc or / it would hide the module's own files.
		return m, fmt.Errorf("the directory of mount point %s must be one for sockets, such as /run/iotedge", m.Destination)
	}
	if err := besideSockets(dir); err != nil {
		return m, err
	}
	return socketMount(dir, sockets), nil
}

// within says whether path p is dir or below it; both are clean.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

// resolve is resolve where modules' files are.
func (e *Engine) resolve(p string) (string, error) {
	return mountns.In(e.MountNS, func() (string, error) { return resolve(p) })
}

// resolve follows symbolic links as far as the path exists. A link to what is not
// there is refused: where it will lead when it is there cannot be judged.
func resolve(p string) (string, error) {
	p = filepath.Clean(p)
	real, err := filepath.EvalSymlinks(p)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if _, err := os.Lstat(p); err == nil {
		return "", fmt.Errorf("%s is a symbolic link to what is not there", p)
	}
	parent, err := resolve(filepath.Dir(p))
	return filepath.Join(parent, filepath.Base(p)), err
}
