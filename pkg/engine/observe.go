package engine

import (
	"context"
	"fmt"

	"github.com/edged/edged/pkg/module"
)

// Observe lists edged's containers in one call, however many there are. What runs in
// them is not asked here: edged knows that from the kernel, and asks for what differs.
func (e *Engine) Observe(ctx context.Context) ([]module.Observed, error) {
	ctx, done := e.call(ctx)
	defer done()
	list, err := e.client.ContainerService().List(ctx, fmt.Sprintf("labels.%q==%s", labelOwner, owner))
	if err != nil {
		return nil, fmt.Errorf("cannot list containers: %w", classify(err))
	}
	observed := make([]module.Observed, 0, len(list))
	for _, c := range list {
		observed = append(observed, module.Observed{ContainerID: c.ID, Module: c.Labels[labelModule]})
	}
	return observed, nil
}
