package client

import (
	"context"
	"net/http"

	"github.com/edged/edged/pkg/client/wire"
)

// CA returns the device CA.
func (c *Client) CA(ctx context.Context) (*wire.DeviceCA, error) {
	return c.ca(ctx, http.MethodGet, "/device/ca")
}

// RenewCA renews the device CA and returns the new one; an operator's is read again.
// Only edgeAgent, root and the group edged may. Errors: errdefs.PermissionDenied,
// FailedPrecondition, Unavailable.
func (c *Client) RenewCA(ctx context.Context) (*wire.DeviceCA, error) {
	return c.ca(ctx, http.MethodPost, "/device/ca/renew")
}

func (c *Client) ca(ctx context.Context, method, path string) (*wire.DeviceCA, error) {
	var ca wire.DeviceCA
	if err := c.call(ctx, changeTimeout, method, path, nil, nil, &ca); err != nil {
		return nil, err
	}
	return &ca, nil
}
