package engine

import (
	"context"
	"fmt"
	"strconv"

	"github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/errdefs/pkg/errgrpc"

	"github.com/edged/edged/pkg/module"
)

// Observe lists edged's containers with their tasks in two calls, however many there are.
func (e *Engine) Observe(ctx context.Context) ([]module.Observed, error) {
	ctx, done := e.call(ctx)
	defer done()
	list, err := e.client.ContainerService().List(ctx, fmt.Sprintf("labels.%q==%s", labelOwner, owner))
	if err != nil {
		return nil, fmt.Errorf("cannot list containers: %w", classify(err))
	}
	response, err := e.client.TaskService().List(ctx, &tasks.ListTasksRequest{})
	if err != nil {
		return nil, fmt.Errorf("cannot list tasks: %w", classify(errgrpc.ToNative(err)))
	}
	processes := make(map[string]*tasktypes.Process, len(response.Tasks))
	for _, t := range response.Tasks {
		processes[t.ID] = t
	}
	observed := make([]module.Observed, 0, len(list))
	for _, c := range list {
		o := module.Observed{ContainerID: c.ID, Module: c.Labels[labelModule]}
		o.Generation, _ = strconv.ParseInt(c.Labels[labelGeneration], 10, 64)
		if p := processes[c.ID]; p != nil {
			o.PID = int(p.Pid)
			o.Running = p.Status == tasktypes.Status_RUNNING
			if p.Status == tasktypes.Status_STOPPED {
				o.Exited = exitOf(p)
			}
		}
		observed = append(observed, o)
	}
	return observed, nil
}
