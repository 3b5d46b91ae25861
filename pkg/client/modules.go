package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/edged/edged/pkg/client/wire"
)

// List returns all modules, in no promised order. Whoever edged does not show
// environments to gets none.
func (c *Client) List(ctx context.Context) ([]wire.Module, error) {
	var list wire.ModuleList
	err := c.call(ctx, readTimeout, http.MethodGet, "/modules", nil, nil, &list)
	return list.Modules, err
}

// ListAll returns edged's own modules as well, to operators; to others what List does.
func (c *Client) ListAll(ctx context.Context) ([]wire.Module, error) {
	var list wire.ModuleList
	err := c.call(ctx, readTimeout, http.MethodGet, "/modules", url.Values{"system": {"true"}}, nil, &list)
	return list.Modules, err
}

// Get returns one module. The error may be errdefs.NotFound.
func (c *Client) Get(ctx context.Context, name string) (*wire.Module, error) {
	return c.module(ctx, http.MethodGet, modulePath(name, ""), nil, nil)
}

// Create makes a module, stopped, and fetches its image if need be; that may take
// an hour. Only edgeAgent may. Errors: errdefs.PermissionDenied, InvalidArgument,
// AlreadyExists, Unavailable.
func (c *Client) Create(ctx context.Context, spec wire.ModuleSpec) (*wire.Module, error) {
	return c.module(ctx, http.MethodPost, "/modules", nil, spec)
}

// Update replaces the spec of the module spec.Name; with start the new generation
// runs when Update returns, and if it cannot, the old one goes on. Only edgeAgent
// may. Errors: as Create, but errdefs.NotFound for AlreadyExists.
func (c *Client) Update(ctx context.Context, spec wire.ModuleSpec, start bool) (*wire.Module, error) {
	query := url.Values{"start": {strconv.FormatBool(start)}}
	return c.module(ctx, http.MethodPut, modulePath(spec.Name, ""), query, spec)
}

func (c *Client) module(ctx context.Context, method, path string, query url.Values, body any) (*wire.Module, error) {
	timeout := readTimeout
	if body != nil {
		timeout = pullTimeout
	}
	var m wire.Module
	if err := c.call(ctx, timeout, method, path, query, body, &m); err != nil {
		return nil, err
	}
	return &m, nil
}

// Prepare fetches the image of a spec and checks the spec, and changes nothing
// else. Only edgeAgent may. Errors: as Create, without AlreadyExists.
func (c *Client) Prepare(ctx context.Context, spec wire.ModuleSpec) error {
	return c.call(ctx, pullTimeout, http.MethodPost, modulePath(spec.Name, "prepareupdate"), nil, spec, nil)
}

// Check says whether edged would accept a spec, and changes nothing. Only operators may.
// Errors: errdefs.InvalidArgument, PermissionDenied; errdefs.NotFound of an older edged.
func (c *Client) Check(ctx context.Context, spec wire.ModuleSpec) error {
	return c.call(ctx, readTimeout, http.MethodPost, modulePath(spec.Name, "check"), nil, spec, nil)
}

// Delete stops and removes a module. Only edgeAgent may.
func (c *Client) Delete(ctx context.Context, name string) error {
	return c.call(ctx, changeTimeout, http.MethodDelete, modulePath(name, ""), nil, nil, nil)
}

// Start makes a module run. One that runs is left alone.
func (c *Client) Start(ctx context.Context, name string) error { return c.act(ctx, name, "start") }

// Stop makes a module not run, over restarts of the device too. It returns when
// the module has ended, at the latest after its stop timeout.
func (c *Client) Stop(ctx context.Context, name string) error { return c.act(ctx, name, "stop") }

// Restart stops a module, if it runs, and starts it.
func (c *Client) Restart(ctx context.Context, name string) error {
	return c.act(ctx, name, "restart")
}

func (c *Client) act(ctx context.Context, name, action string) error {
	return c.call(ctx, changeTimeout, http.MethodPost, modulePath(name, action), nil, nil, nil)
}

// SystemInfo returns what edged runs on, and its version.
func (c *Client) SystemInfo(ctx context.Context) (*wire.SystemInfo, error) {
	var info wire.SystemInfo
	if err := c.call(ctx, readTimeout, http.MethodGet, "/systeminfo", nil, nil, &info); err != nil {
		return nil, err
	}
	return &info, nil
}

// Networks returns the networks of the device with their modules.
func (c *Client) Networks(ctx context.Context) ([]wire.Network, error) {
	var list wire.NetworkList
	err := c.call(ctx, readTimeout, http.MethodGet, "/networks", nil, nil, &list)
	return list.Networks, err
}
