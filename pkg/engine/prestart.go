package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/edged/edged/pkg/network"
)

// beforeStart looks once more at what was judged when the container was made: since
// then a module that can write beside a bind source may have put a link in its place.
// Between this look and runc's a moment remains; a module cannot choose it.
func (e *Engine) beforeStart(ctx context.Context, id string) error {
	record, err := e.client.ContainerService().Get(ctx, id)
	if err != nil {
		return err
	}
	var spec struct {
		Hostname string        `json:"hostname"`
		Mounts   []specs.Mount `json:"mounts"`
		Linux    struct {
			Namespaces []specs.LinuxNamespace `json:"namespaces"`
		} `json:"linux"`
	}
	if err := json.Unmarshal(record.Spec.GetValue(), &spec); err != nil {
		return fmt.Errorf("cannot read spec: %w", err)
	}
	for _, m := range spec.Mounts {
		if m.Type != "bind" || within(m.Source, e.Home) || within(m.Source, e.Run) {
			continue // edged's own; nobody else's may be there
		}
		if real, err := resolve(m.Source); err != nil || real != m.Source {
			return fmt.Errorf("mount source %s is not what it was when the module was made: it leads through a link now: %w", m.Source, errdefs.ErrInvalidArgument)
		}
	}
	plan := network.Plan{Mode: network.ModeHost, Hostname: spec.Hostname}
	if ext := record.Extensions[extensionNetwork]; ext != nil {
		if err := json.Unmarshal(ext.GetValue(), &plan); err != nil {
			return fmt.Errorf("cannot read network plan: %w", err)
		}
	} else if slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.NetworkNamespace }) {
		plan.Mode = network.ModeNone // of a version that knew no other
	}
	files, err := e.Networks.Start(ctx, instanceOf(record.Labels[labelModule], id), &plan)
	if err != nil {
		return err
	}
	return e.writeNetworkFiles(id, spec.Hostname, files)
}
