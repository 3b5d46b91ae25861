package engine

import (
	"context"
	"encoding/json"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// User is whom a container's first process runs as, looked up when it was made.
func (e *Engine) User(ctx context.Context, id string) (uid, gid uint32, err error) {
	ctx, done := e.call(ctx)
	defer done()
	record, err := e.client.ContainerService().Get(ctx, id)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot start container %s: %w", id, classify(err))
	}
	var spec struct {
		Process struct {
			User specs.User `json:"user"`
		} `json:"process"`
	}
	if err := json.Unmarshal(record.Spec.GetValue(), &spec); err != nil {
		return 0, 0, fmt.Errorf("cannot start container %s: cannot read its spec: %w", id, err)
	}
	return spec.Process.User.UID, spec.Process.User.GID, nil
}
