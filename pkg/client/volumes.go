package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/edged/edged/pkg/client/wire"
)

// Volumes returns all volumes by name, with the modules that use each.
func (c *Client) Volumes(ctx context.Context) ([]wire.Volume, error) {
	var list wire.VolumeList
	err := c.call(ctx, readTimeout, http.MethodGet, "/volumes", nil, nil, &list)
	return list.Volumes, err
}

// RemoveVolume removes a volume and its data. Only operators may: edgeAgent, root and
// the group edged. Errors: errdefs.NotFound, PermissionDenied, Conflict (a module uses it).
func (c *Client) RemoveVolume(ctx context.Context, name string) error {
	return c.call(ctx, changeTimeout, http.MethodDelete, "/volumes/"+url.PathEscape(name), nil, nil, nil)
}

// PruneVolumes removes all volumes that no module uses, the named ones too, and
// returns their names. Only operators may.
func (c *Client) PruneVolumes(ctx context.Context) ([]string, error) {
	var pruned wire.VolumesPruned
	err := c.call(ctx, changeTimeout, http.MethodPost, "/volumes/prune", nil, nil, &pruned)
	return pruned.Removed, err
}
