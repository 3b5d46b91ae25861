package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/edged/edged/pkg/client/wire"
)

// Deployment returns what the agent is to apply and what it says of it. Only operators
// may: edgeAgent, root and the group edged, as for the other calls of deployments.
func (c *Client) Deployment(ctx context.Context) (*wire.Deployment, error) {
	var d wire.Deployment
	if err := c.call(ctx, readTimeout, http.MethodGet, "/deployment", nil, nil, &d); err != nil {
		return nil, err
	}
	return &d, nil
}

// Manifest returns the text of a manifest of the history or, without a revision, of the
// one that the agent is to apply. Errors: errdefs.NotFound, PermissionDenied.
func (c *Client) Manifest(ctx context.Context, revision string) ([]byte, error) {
	query := url.Values{}
	if revision != "" {
		query.Set("revision", revision)
	}
	var m wire.DeploymentManifest
	err := c.call(ctx, readTimeout, http.MethodGet, "/deployment/manifest", query, nil, &m)
	return m.Manifest, err
}

// Deploy gives a manifest to the agent and returns at once; Deployment tells what comes
// of it. Errors: errdefs.InvalidArgument, PermissionDenied, Conflict (it is another than
// spec.Before), ResourceExhausted.
func (c *Client) Deploy(ctx context.Context, spec wire.DeploymentSpec) (*wire.DeploymentPut, error) {
	var answer wire.DeploymentPut
	if err := c.call(ctx, readTimeout, http.MethodPut, "/deployment", nil, spec, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}
