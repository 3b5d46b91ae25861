package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
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
		Hostname    string            `json:"hostname"`
		Mounts      []specs.Mount     `json:"mounts"`
		Annotations map[string]string `json:"annotations"`
		Linux       struct {
			Namespaces []specs.LinuxNamespace `json:"namespaces"`
		} `json:"linux"`
	}
	if err := json.Unmarshal(record.Spec.GetValue(), &spec); err != nil {
		return fmt.Errorf("cannot read spec: %w", err)
	}
	if _, err := e.keepHealth(id, spec.Annotations); err != nil {
		return err
	}
	e.unpinSubpaths(id)
	if err := e.pinSubpaths(id, spec.Annotations); err != nil {
		return err
	}
	for _, m := range spec.Mounts {
		if err := e.volumeThere(m.Source); err != nil {
			return err
		}
		if m.Type != "bind" || within(m.Source, e.Home) || within(m.Source, e.Run) {
			continue // edged's own; nobody else's may be there
		}
		if real, err := resolve(m.Source); err != nil || real != m.Source {
			return fmt.Errorf("mount source %s is not what it was when the module was made: it leads through a link now: %w", m.Source, errdefs.ErrInvalidArgument)
		}
	}
	private := slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.NetworkNamespace })
	return e.writeNetworkFiles(id, spec.Hostname, !private)
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
