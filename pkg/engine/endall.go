package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/errdefs"
)

// EndAll ends every module that runs, asking first and killing after patience, and leaves
// containers and their file systems as they are. Nobody may be supervising them. The
// errors of all are joined; it carries on behind each.
func (e *Engine) EndAll(ctx context.Context, patience time.Duration) error {
	all, err := e.Observe(ctx)
	if err != nil {
		return err
	}
	failed := make([]error, len(all))
	var ends sync.WaitGroup
	for i, c := range all {
		ends.Go(func() {
			if err := e.end(ctx, c.ContainerID, patience); err != nil && !errdefs.IsNotFound(err) {
				failed[i] = fmt.Errorf("cannot end module %s: %w", c.Module, err)
			}
		})
	}
	ends.Wait()
	return errors.Join(failed...)
}

func (e *Engine) end(ctx context.Context, id string, patience time.Duration) error {
	if err := e.Signal(ctx, id, false); err != nil {
		return err
	}
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		if exit, err := e.Exited(ctx, id); exit != nil || err != nil {
			break
		}
	}
	return e.deleteTask(ctx, id) // kills what still lives
}
