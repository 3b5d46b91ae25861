package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/edged/edged/pkg/mountns"
	"github.com/edged/edged/pkg/network"
)

// startSpec is the part of a container's spec that a start reads; the whole is large.
type startSpec struct {
	Hostname    string            `json:"hostname"`
	Annotations map[string]string `json:"annotations"`
	Process     startProcess      `json:"process"`
	Mounts      []specs.Mount     `json:"mounts"`
	Linux       struct {
		Namespaces []specs.LinuxNamespace `json:"namespaces"`
		Sysctl     map[string]string      `json:"sysctl"`
	} `json:"linux"`
}

type startProcess struct {
	Terminal bool     `json:"terminal"`
	Env      []string `json:"env"`
}

// beforeStart looks once more at what was judged when the container was made: since
// then a module that can write beside a bind source may have put a link in its place.
// Between this look and runc's a moment remains; a module cannot choose it. It returns
// what else the start needs of the spec.
func (e *Engine) beforeStart(ctx context.Context, id string) (process startProcess, err error) {
	record, err := e.client.ContainerService().Get(ctx, id)
	if err != nil {
		return process, err
	}
	var spec startSpec
	if err := json.Unmarshal(record.Spec.GetValue(), &spec); err != nil {
		return process, fmt.Errorf("cannot read spec: %w", err)
	}
	if _, err := e.keepHealth(id, spec.Annotations); err != nil {
		return process, err
	}
	e.unpinSubpaths(id)
	if err := e.pinSubpaths(id, spec.Annotations); err != nil {
		return process, err
	}
	for _, m := range spec.Mounts {
		if err := e.volumeThere(m.Source); err != nil {
			return process, err
		}
		if m.Type != "bind" || within(m.Source, e.Home) || within(m.Source, e.Run) {
			continue // edged's own; nobody else's may be there
		}
		if real, err := e.resolve(m.Source); err != nil || real != m.Source {
			return process, fmt.Errorf("mount source %s is not what it was when the module was made: it leads through a link now: %w", m.Source, errdefs.ErrInvalidArgument)
		}
	}
	if err := e.refresh(ctx, &record, spec.Annotations); err != nil {
		return process, err
	}
	has := func(t specs.LinuxNamespaceType) bool {
		return slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t })
	}
	name := spec.Hostname
	if !has(specs.UTSNamespace) {
		if name, err = os.Hostname(); err != nil {
			return process, fmt.Errorf("cannot read the host's name: %w", err)
		}
	}
	plan := network.Plan{Mode: network.ModeHost, Hostname: name}
	if ext := record.Extensions[extensionNetwork]; ext != nil {
		if err := json.Unmarshal(ext.GetValue(), &plan); err != nil {
			return process, fmt.Errorf("cannot read network plan: %w", err)
		}
	} else if has(specs.NetworkNamespace) {
		plan.Mode = network.ModeNone // of a version that knew no other
	}
	err = e.Networks.Start(ctx, instanceOf(record.Labels[labelModule], id), &plan, func(f network.Files) error { return e.writeNetworkFiles(id, name, f) })
	return spec.Process, err
}

// refresh brings what depends on the present into the spec: where devices are now, and
// whose PID namespace is joined. Most modules have neither and cost nothing here.
func (e *Engine) refresh(ctx context.Context, record *containers.Container, annotations map[string]string) error {
	text, other := annotations[annotationDevices], annotations[annotationPIDOf]
	var old, now devices
	changed := other != ""
	if text != "" {
		if err := json.Unmarshal([]byte(text), &old); err != nil {
			return fmt.Errorf("cannot read devices: %w", err)
		}
		found, err := mountns.In(e.MountNS, old.find)
		if err != nil {
			return err
		}
		now = devices{Asked: old.Asked, All: old.All, Got: found}
		changed = changed || !reflect.DeepEqual(old.Got, now.Got)
	}
	if !changed {
		return nil
	}
	var spec oci.Spec
	if err := json.Unmarshal(record.Spec.GetValue(), &spec); err != nil {
		return fmt.Errorf("cannot read spec: %w", err)
	}
	if text != "" {
		old.removeFrom(&spec)
		now.addTo(&spec)
		if err := now.remember(&spec); err != nil {
			return err
		}
	}
	if other != "" {
		pid, err := e.runningPID(ctx, other)
		if err != nil {
			return err
		}
		join := oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.PIDNamespace, Path: fmt.Sprintf("/proc/%d/ns/pid", pid)})
		if err := join(ctx, nil, record, &spec); err != nil {
			return err
		}
	}
	value, err := typeurl.MarshalAny(&spec)
	if err != nil {
		return fmt.Errorf("cannot write spec: %w", err)
	}
	record.Spec = value
	if _, err := e.client.ContainerService().Update(ctx, *record, "spec"); err != nil {
		return fmt.Errorf("cannot write spec: %w", err)
	}
	return nil
}

// volumeThere says in words what runc would say by a path of the host.
func (e *Engine) volumeThere(source string) error {
	name, inside := strings.CutPrefix(filepath.Dir(source), filepath.Dir(filepath.Dir(e.Volumes.Path("x")))+"/")
	if !inside {
		return nil
	}
	if _, err := e.Volumes.Get(name); errdefs.IsNotFound(err) {
		return fmt.Errorf("its volume %q was removed: create the module again: %w", name, errdefs.ErrInvalidArgument)
	}
	return nil
}
