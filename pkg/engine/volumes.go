package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/volume"
)

// What a mount of type "volume" carries among its options until it becomes a bind.
const (
	typeVolume    = "volume"
	optionNoCopy  = "nocopy"
	optionSubpath = "subpath="
)

// parseNamedVolume reads what of "name:/destination[:options]" is not read yet.
func parseNamedVolume(m specs.Mount, options string) (specs.Mount, error) {
	if strings.ContainsAny(m.Source, "/") {
		return m, fmt.Errorf("source %q is neither an absolute path nor the name of a volume", m.Source)
	}
	m.Type = typeVolume
	mode, noCopy := "rw", false
	for opt := range strings.SplitSeq(options, ",") {
		switch opt {
		case "rw", "ro":
			mode = opt
		case optionNoCopy:
			noCopy = true
		case "z", "Z", "":
		default:
			return m, fmt.Errorf("unknown option %q of a volume", opt)
		}
	}
	m.Options = volumeOptions(mode, noCopy, "")
	return m, volume.CheckName(m.Source)
}

// parseVolume reads a mount of type volume; without a Source it is anonymous.
func parseVolume(in *mount.Mount, m specs.Mount) (specs.Mount, error) {
	mode := "rw"
	if in.ReadOnly {
		mode = "ro"
	}
	if in.BindOptions != nil || in.TmpfsOptions != nil {
		return m, errors.New("a volume has neither BindOptions nor TmpfsOptions")
	}
	noCopy, subpath := false, ""
	if v := in.VolumeOptions; v != nil {
		if d := v.DriverConfig; d != nil {
			if d.Name != "" && d.Name != "local" {
				return m, noDriver("VolumeOptions.DriverConfig.Name", d.Name)
			}
			if len(d.Options) > 0 {
				return m, errors.New("VolumeOptions.DriverConfig.Options are not supported: a volume is a folder of edged's own; for a folder of the host use a mount of type bind, " +
					"for memory one of type tmpfs, and mount a share (nfs, cifs) on the host, where it is mounted again when the network comes back, and bind it")
			}
		}
		noCopy, subpath = v.NoCopy, v.Subpath
		if subpath != "" {
			if err := volume.CheckSubpath(subpath); err != nil {
				return m, fmt.Errorf("VolumeOptions.Subpath: %w", err)
			}
		}
	}
	m.Options = volumeOptions(mode, noCopy, subpath)
	if in.Source == "" {
		return m, nil
	}
	return m, volume.CheckName(in.Source)
}

func volumeOptions(mode string, noCopy bool, subpath string) []string {
	opts := []string{"rbind", "rprivate", mode}
	if noCopy {
		opts = append(opts, optionNoCopy)
	}
	if subpath != "" {
		opts = append(opts, optionSubpath+subpath)
	}
	return opts
}

func noDriver(option, name string) error {
	return fmt.Errorf("%s %q is not supported: edged has the driver \"local\"", option, name)
}

// checkVolumes refuses what concerns volumes and is not about one of them.
func checkVolumes(o *options) error {
	if d := o.HostConfig.VolumeDriver; d != "" && d != "local" {
		return fmt.Errorf("createOptions.%w: %w", noDriver("HostConfig.VolumeDriver", d), errdefs.ErrInvalidArgument)
	}
	return nil
}

// anonymousVolumes names anonymous volumes and adds those that Volumes asks for where
// nothing else is mounted. all has clean destinations.
func (e *Engine) anonymousVolumes(all []specs.Mount, spec *module.Spec, o *options) ([]specs.Mount, error) {
	taken := map[string]bool{}
	for i := range all {
		m := &all[i]
		taken[m.Destination] = true
		if m.Type == typeVolume && m.Source == "" {
			m.Source = volume.Anonymous(spec.Name, m.Destination)
		}
	}
	for _, dst := range slices.Sorted(maps.Keys(o.Volumes)) {
		m, err := e.guard(specs.Mount{Destination: dst, Type: typeVolume, Options: volumeOptions("rw", false, "")}, spec, "")
		if err != nil {
			return nil, fmt.Errorf("invalid createOptions.Volumes entry %q: %w: %w", dst, err, errdefs.ErrInvalidArgument)
		}
		if !taken[m.Destination] {
			taken[m.Destination] = true
			m.Source = volume.Anonymous(spec.Name, m.Destination)
			all = append(all, m)
		}
	}
	return all, nil
}

// maxImageVolumes is how many volumes an image may declare; those of today have a
// handful, and each costs a folder and a mount.
const maxImageVolumes = 32

// addImageVolumes adds what the image declares to what the module asks for. Its author
// knows nothing of edged: what cannot be a volume here is left out, not refused. The
// error is errdefs.InvalidArgument, of an image that declares too many.
func addImageVolumes(o *options, declared map[string]struct{}) error {
	if len(declared) > maxImageVolumes {
		return fmt.Errorf("the image declares %d volumes, and %d are the most: %w", len(declared), maxImageVolumes, errdefs.ErrInvalidArgument)
	}
	for dst := range declared {
		clean := path.Clean(dst)
		if !path.IsAbs(clean) || clean == "/" || besideSockets(clean) != nil {
			continue
		}
		if o.Volumes == nil {
			o.Volumes = map[string]struct{}{}
		}
		o.Volumes[clean] = struct{}{}
	}
	return nil
}

// NamedVolumes are the named volumes that createOptions name, which hold good as
// long as the module is there. Options that cannot be read name none.
func NamedVolumes(createOptions json.RawMessage) []string {
	o, _, err := parseOptions(createOptions)
	if err != nil {
		return nil
	}
	var names []string
	for _, b := range o.HostConfig.Binds {
		if m, err := parseBind(b); err == nil && m.Type == typeVolume {
			names = append(names, m.Source)
		}
	}
	for i := range o.HostConfig.Mounts {
		if m := &o.HostConfig.Mounts[i]; m.Type == mount.TypeVolume && m.Source != "" {
			names = append(names, m.Source)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// volumesAsBinds turns mounts of volumes into binds of their folders, and of what
// pinSubpaths puts in the place of those that have a subpath; pins says what that is.
func (e *Engine) volumesAsBinds(id string, mounts []specs.Mount) (binds []specs.Mount, pins map[string]string) {
	binds = slices.Clone(mounts)
	for i := range binds {
		m := &binds[i]
		if m.Type != typeVolume {
			continue
		}
		name, opts := m.Source, m.Options
		m.Type, m.Source, m.Options = "bind", e.Volumes.Path(name), opts[:3:3]
		for _, opt := range opts[3:] {
			if sub, ok := strings.CutPrefix(opt, optionSubpath); ok {
				if pins == nil {
					pins = map[string]string{}
				}
				m.Source = e.pinPath(id, m.Destination)
				pins[annotationSubpath+path.Base(m.Source)] = name + "/" + sub
			}
		}
	}
	return binds, pins
}
