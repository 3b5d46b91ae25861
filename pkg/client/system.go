package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

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

// BundleOptions choose what goes into a support bundle. Times are as in LogOptions.
type BundleOptions struct {
	Since, Until string
	// RuntimeOnly leaves the logs of modules out but edgeAgent's and edgeHub's.
	RuntimeOnly bool
}

// SupportBundle returns a zip archive as it is made; the caller closes it. Only
// edgeAgent, root and members of the group edged may.
func (c *Client) SupportBundle(ctx context.Context, opt BundleOptions) (io.ReadCloser, error) {
	query := url.Values{"edge_runtime_only": {strconv.FormatBool(opt.RuntimeOnly)}}
	if opt.Since != "" {
		query.Set("since", opt.Since)
	}
	if opt.Until != "" {
		query.Set("until", opt.Until)
	}
	resp, err := c.send(ctx, http.MethodGet, "/systeminfo/supportbundle", query, nil, "")
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// SetLogLevel changes what edged logs until it ends, "error", "warn", "info" or
// "debug", and returns what it was before. Only edgeAgent, root and the group edged
// may. Errors: errdefs.PermissionDenied, InvalidArgument.
func (c *Client) SetLogLevel(ctx context.Context, level string) (before string, err error) {
	var answer wire.LogLevel
	err = c.call(ctx, readTimeout, http.MethodPut, "/system/log-level", nil, wire.LogLevel{Level: level}, &answer)
	return answer.Before, err
}
