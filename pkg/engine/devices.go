package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/edged/edged/pkg/lazyregexp"
	"github.com/edged/edged/pkg/mountns"
)

// annotationDevices keeps in the spec which devices were asked for and what they
// were: a start looks again, because after a reboot the same adapter may be ttyUSB1.
const annotationDevices = "io.edged.devices"

// deviceNode is a device inside a module and what the module may do with it.
type deviceNode struct {
	Node   specs.LinuxDevice
	Access string
}

// devices is what annotationDevices holds.
type devices struct {
	Asked []container.DeviceMapping
	// All is a privileged module's: every device of the host.
	All bool
	Got []deviceNode
}

func devicesOf(o *options) devices {
	return devices{Asked: o.HostConfig.Devices, All: o.HostConfig.Privileged}
}

// checkDevices refuses devices that are not there, and mappings that make no sense.
func (e *Engine) checkDevices(o *options) error {
	if err := checkDeviceRules(o); err != nil {
		return err
	}
	d := devicesOf(o)
	d.All = false // what the host has is not the caller's fault
	_, err := mountns.In(e.MountNS, d.find)
	return err
}

// find looks at the devices as they are now. Errors are errdefs.InvalidArgument and
// name the option. A device that is kept from edged itself looks like another here; it is
// for callers to run this in MountNS.
func (d *devices) find() ([]deviceNode, error) {
	var all []deviceNode
	at := map[string]bool{}
	for _, m := range d.Asked {
		nodes, err := mapDevice(m)
		if err != nil {
			return nil, invalid("HostConfig.Devices", "entry for %q: %w", m.PathOnHost, err)
		}
		for _, n := range nodes {
			if at[n.Node.Path] {
				return nil, invalid("HostConfig.Devices", "two devices at %s", n.Node.Path)
			}
			at[n.Node.Path] = true
		}
		all = append(all, nodes...)
	}
	if !d.All {
		return all, nil
	}
	host, err := oci.HostDevices()
	if err != nil {
		return nil, fmt.Errorf("cannot list devices: %w", err)
	}
	for _, n := range host {
		if !at[n.Path] {
			all = append(all, deviceNode{n, "rwm"})
		}
	}
	return all, nil
}

// skipFolders are no devices of the host: file systems of their own under /dev.
var skipFolders = []string{"pts", "shm", "fd", "mqueue"}

// mapDevice reads one mapping; of a folder it is every device in it, as Docker does.
func mapDevice(m container.DeviceMapping) ([]deviceNode, error) {
	access := m.CgroupPermissions
	if access == "" {
		access = "rwm"
	}
	if len(access) > 3 || strings.Trim(access, "rwm") != "" {
		return nil, fmt.Errorf("CgroupPermissions %q is not of the letters r, w and m", m.CgroupPermissions)
	}
	if !filepath.IsAbs(m.PathOnHost) {
		return nil, errors.New("PathOnHost is not an absolute path")
	}
	inside := m.PathInContainer
	if inside == "" {
		inside = m.PathOnHost
	}
	if !path.IsAbs(inside) || path.Clean(inside) == "/" {
		return nil, fmt.Errorf("PathInContainer %q is not an absolute path below /", inside)
	}
	inside = path.Clean(inside)
	if err := besideSockets(inside); err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(m.PathOnHost)
	if err != nil {
		return nil, fmt.Errorf("cannot find device: %w", err)
	}
	var nodes []deviceNode
	err = filepath.WalkDir(real, func(p string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && p != real && slices.Contains(skipFolders, entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || p != real && entry.Type()&fs.ModeDevice == 0:
			return nil
		}
		node, err := oci.DeviceFromPath(p)
		if err != nil || node.Type == "p" {
			return fmt.Errorf("%s is not a device", p)
		}
		below, err := filepath.Rel(real, p)
		node.Path = path.Join(inside, below)
		nodes = append(nodes, deviceNode{*node, access})
		return err
	})
	if err == nil && len(nodes) == 0 {
		err = fmt.Errorf("there is no device in folder %s", real)
	}
	return nodes, err
}

// withDevices puts devices into the spec and remembers them.
func (e *Engine) withDevices(o *options) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		d := devicesOf(o)
		if len(d.Asked) == 0 && !d.All {
			return nil
		}
		var err error
		if d.Got, err = mountns.In(e.MountNS, d.find); err != nil {
			return err
		}
		d.addTo(s)
		return d.remember(s)
	}
}

func (d *devices) remember(s *oci.Spec) error {
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("cannot write devices: %w", err)
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[annotationDevices] = string(text)
	return nil
}

func (d *devices) addTo(s *oci.Spec) {
	for _, n := range d.Got {
		s.Linux.Devices = append(s.Linux.Devices, n.Node)
		if !d.All { // else each is allowed already
			s.Linux.Resources.Devices = append(s.Linux.Resources.Devices, n.rule())
		}
	}
}

func (n *deviceNode) rule() specs.LinuxDeviceCgroup {
	major, minor := n.Node.Major, n.Node.Minor
	return specs.LinuxDeviceCgroup{Allow: true, Type: n.Node.Type, Major: &major, Minor: &minor, Access: n.Access}
}

func (d *devices) removeFrom(s *oci.Spec) {
	for _, n := range d.Got {
		s.Linux.Devices = slices.DeleteFunc(s.Linux.Devices, func(x specs.LinuxDevice) bool { return x.Path == n.Node.Path })
		if i := slices.IndexFunc(s.Linux.Resources.Devices, func(x specs.LinuxDeviceCgroup) bool { return sameRule(x, n.rule()) }); i >= 0 && !d.All {
			s.Linux.Resources.Devices = slices.Delete(s.Linux.Resources.Devices, i, i+1)
		}
	}
}

func sameRule(a, b specs.LinuxDeviceCgroup) bool {
	return a.Allow == b.Allow && a.Type == b.Type && a.Access == b.Access &&
		a.Major != nil && b.Major != nil && *a.Major == *b.Major && a.Minor != nil && b.Minor != nil && *a.Minor == *b.Minor
}

// deviceRule is Docker's form: type, major:minor, access.
var deviceRule = lazyregexp.New(`^([acb]) (\d{1,10}|\*):(\d{1,10}|\*) ([rwm]{1,3})$`)

func checkDeviceRules(o *options) error {
	for _, rule := range o.HostConfig.DeviceCgroupRules {
		if _, err := parseDeviceRule(rule); err != nil {
			return invalid("HostConfig.DeviceCgroupRules", "%q: %w", rule, err)
		}
	}
	return nil
}

func parseDeviceRule(rule string) (specs.LinuxDeviceCgroup, error) {
	m := deviceRule().FindStringSubmatch(rule)
	if m == nil {
		return specs.LinuxDeviceCgroup{}, errors.New(`it is as "c 188:* rwm"`)
	}
	r := specs.LinuxDeviceCgroup{Allow: true, Type: m[1], Access: m[4]}
	for i, into := range []**int64{&r.Major, &r.Minor} {
		number := int64(-1) // every one
		if m[2+i] != "*" {
			n, err := strconv.ParseUint(m[2+i], 10, 32)
			if err != nil {
				return r, errors.New("a device number has 32 bits at most")
			}
			number = int64(n)
		}
		*into = &number
	}
	return r, nil
}

func withDeviceRules(o *options) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		for _, rule := range o.HostConfig.DeviceCgroupRules {
			r, err := parseDeviceRule(rule)
			if err != nil {
				return invalid("HostConfig.DeviceCgroupRules", "%q: %w", rule, err)
			}
			s.Linux.Resources.Devices = append(s.Linux.Resources.Devices, r)
		}
		return nil
	}
}
