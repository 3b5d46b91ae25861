package client

import (
	"context"
	"net/http"

	"github.com/edged/edged/pkg/client/wire"
)

// Resources returns what is used of the device, by host and by module.
func (c *Client) Resources(ctx context.Context) (*wire.SystemResources, error) {
	var used wire.SystemResources
	if err := c.call(ctx, readTimeout, http.MethodGet, "/systeminfo/resources", nil, nil, &used); err != nil {
		return nil, err
	}
	return &used, nil
}
