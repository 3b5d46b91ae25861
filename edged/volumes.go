package main

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/engine"
	"github.com/edged/edged/pkg/volume"
)

// volumeUses says which modules there are and which named volumes they use. Until
// what a crash cut is settled, a module may be about to become another: then it is
// not known.
func (d *daemon) volumeUses(ctx context.Context) (volume.Uses, error) {
	select {
	case <-d.supervisor.Reconciled():
	default:
		return volume.Uses{}, fmt.Errorf("which volumes are in use is not known yet: modules are still being compared with containerd: %w", errdefs.ErrUnavailable)
	}
	uses := volume.Uses{Modules: map[string]bool{}, Named: map[string][]string{}}
	for _, m := range d.supervisor.List(ctx) {
		uses.Modules[m.Spec.Name] = true
		for _, name := range engine.NamedVolumes(m.Spec.CreateOptions) {
			uses.Named[name] = append(uses.Named[name], m.Spec.Name)
		}
	}
	return uses, nil
}
