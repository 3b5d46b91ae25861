package main

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/engine"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/volume"
)

// volumeUses says which modules there are and which named volumes they use. Until all
// was compared with containerd, what a crash cut is not settled and so not known.
func (d *daemon) volumeUses(ctx context.Context) (volume.Uses, error) {
	select {
	case <-d.supervisor.Reconciled():
	default:
		return volume.Uses{}, fmt.Errorf("which volumes are in use is not known yet: modules are still being compared with containerd: %w", errdefs.ErrUnavailable)
	}
	records, err := d.store.Modules(ctx)
	if err != nil {
		return volume.Uses{}, fmt.Errorf("which volumes are in use is not known: %w", err)
	}
	return usesOf(records), nil
}

// usesOf counts every generation in the database, whatever its phase. An update that a
// crash cut and that could not be settled has two, and either may run.
func usesOf(records []module.Record) volume.Uses {
	uses := volume.Uses{Modules: map[string]bool{}, Named: map[string][]string{}}
	for i := range records {
		r := &records[i]
		uses.Modules[r.Name] = true
		for _, g := range []*module.Generation{&r.Current, r.Next} {
			if g == nil {
				continue
			}
			for _, name := range engine.NamedVolumes(g.Spec.CreateOptions) {
				uses.Named[name] = append(uses.Named[name], r.Name)
			}
		}
	}
	return uses
}
