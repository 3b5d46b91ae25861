package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/edged/edged/pkg/client/wire"
)

// Identities returns all identities. Only edgeAgent may ask for any of them.
func (c *Client) Identities(ctx context.Context) ([]wire.Identity, error) {
	var list wire.IdentityList
	err := c.call(ctx, readTimeout, http.MethodGet, "/identities", nil, nil, &list)
	return list.Identities, err
}

// CreateIdentity makes a module's identity, or returns the one that is there.
// managedBy may be empty. Errors: errdefs.PermissionDenied, InvalidArgument.
func (c *Client) CreateIdentity(ctx context.Context, moduleID, managedBy string) (*wire.Identity, error) {
	return c.identity(ctx, http.MethodPost, "/identities", wire.IdentitySpec{ModuleID: moduleID, ManagedBy: managedBy})
}

// UpdateIdentity says who manages an identity. Errors: errdefs.PermissionDenied, NotFound.
func (c *Client) UpdateIdentity(ctx context.Context, moduleID, managedBy string) (*wire.Identity, error) {
	return c.identity(ctx, http.MethodPut, identityPath(moduleID), wire.IdentitySpec{ManagedBy: managedBy})
}

// DeleteIdentity removes an identity: the module that has it is nobody to the
// workload API until it is made anew. Errors: errdefs.PermissionDenied, NotFound.
func (c *Client) DeleteIdentity(ctx context.Context, moduleID string) error {
	return c.call(ctx, readTimeout, http.MethodDelete, identityPath(moduleID), nil, nil, nil)
}

func (c *Client) identity(ctx context.Context, method, path string, spec wire.IdentitySpec) (*wire.Identity, error) {
	var id wire.Identity
	if err := c.call(ctx, readTimeout, method, path, nil, spec, &id); err != nil {
		return nil, err
	}
	return &id, nil
}

func identityPath(moduleID string) string { return "/identities/" + url.PathEscape(moduleID) }
