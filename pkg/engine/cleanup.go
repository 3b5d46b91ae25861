package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
)

// CleanUp gives up leases of operations that a crash cut and removes snapshots
// that have no container, and anonymous volumes of modules other than these. Leases of
// pulls stay: they are what a resumed pull stands on.
func (e *Engine) CleanUp(ctx context.Context, modules []string) error {
	e.sweepPins()
	return errors.Join(e.Volumes.Sweep(modules), e.cleanUp(ctx))
}

func (e *Engine) cleanUp(ctx context.Context) error {
	ctx, done := e.call(ctx)
	defer done()
	m := e.client.LeasesService()
	list, err := e.leasesWith(ctx, opLease)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range list {
		if !e.isMaking(strings.TrimPrefix(l.ID, opLease)) {
			errs = append(errs, ignoreNotFound(m.Delete(ctx, leases.Lease{ID: l.ID})))
		}
	}
	// Snapshots first: a container made meanwhile is then either not among them or
	// already has its record when the records are listed.
	s := e.client.SnapshotService(e.Snapshotter)
	orphans := map[string]bool{}
	err = s.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		// Layers of a pull carry the label too; containers are made in active ones.
		if info.Kind == snapshots.KindActive && !e.isMaking(info.Name) && !strings.HasPrefix(info.Name, "extract-") {
			orphans[info.Name] = true
		}
		return nil
	}, fmt.Sprintf("labels.%q==%s,kind==active", labelOwner, owner))
	if err != nil {
		return fmt.Errorf("cannot list snapshots: %w", classify(err))
	}
	containers, err := e.client.ContainerService().List(ctx)
	if err != nil {
		return fmt.Errorf("cannot list containers: %w", classify(err))
	}
	for _, c := range containers {
		delete(orphans, c.SnapshotKey)
	}
	for name := range orphans {
		errs = append(errs, ignoreNotFound(s.Remove(ctx, name)))
	}
	errs = append(errs, e.cleanUpNetworks(ctx))
	return errors.Join(errs...)
}

// cleanUpNetworks frees the ports of starts that a crash cut before the first
// instruction, of which nobody else knows, then what modules that are gone left.
func (e *Engine) cleanUpNetworks(ctx context.Context) error {
	for _, id := range e.Networks.Up() {
		if _, err := e.Exited(ctx, id); errdefs.IsNotFound(err) && !e.isStarting(id) {
			e.Networks.Ended(id)
		}
	}
	return e.Networks.CleanUp(ctx)
}

func (e *Engine) isMaking(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.making[id]
}

func (e *Engine) isStarting(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.starting[id]
}
