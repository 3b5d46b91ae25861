package engine

import (
	"cmp"
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
		observed = append(observed, module.Observed{ContainerID: c.ID, Module: c.Labels[labelModule], Elsewhere: e.isElsewhere(c.Labels)})
	}
	return observed, nil
}

// isElsewhere says that a container has files of other folders than edged has now: the
// configuration was changed, or another one had it. One without labels is of an edged that
// made none.
func (e *Engine) isElsewhere(labels map[string]string) bool {
	return cmp.Or(labels[labelHome], e.Home) != e.Home || cmp.Or(labels[labelRun], e.Run) != e.Run
}
