package engine

import (
	"context"
	"fmt"
	"strconv"

	"github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"

	"github.com/edged/edged/pkg/module"
)

// runningPID is the first process of a module that runs. That it does not is
// errdefs.FailedPrecondition: it may run later.
func (e *Engine) runningPID(ctx context.Context, name string) (uint32, error) {
	name, err := module.CanonicalName(name)
	if err != nil {
		return 0, err
	}
	found, err := e.client.ContainerService().List(ctx, "labels."+strconv.Quote(labelModule)+"=="+strconv.Quote(name))
	if err != nil {
		return 0, err
	}
	for _, c := range found { // of an update there are two generations, of which one runs
		r, err := e.client.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: c.ID})
		switch err = errgrpc.ToNative(err); {
		case errdefs.IsNotFound(err):
		case err != nil:
			return 0, err
		case r.Process.Status == tasktypes.Status_RUNNING:
			return r.Process.Pid, nil
		}
	}
	return 0, fmt.Errorf("createOptions.HostConfig.PidMode joins module %q, which does not run: start it first: %w", name, errdefs.ErrFailedPrecondition)
}
