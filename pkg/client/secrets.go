package client

import (
	"context"
	"encoding/base64"
	"net/http"

	"github.com/edged/edged/pkg/client/wire"
)

// SealSecret returns text for settings.secrets that only this device opens, for every
// module or, with a name, for that one alone. Only edgeAgent, root and the group edged
// may. Errors: errdefs.PermissionDenied, InvalidArgument.
func (c *Client) SealSecret(ctx context.Context, value []byte, module string) (string, error) {
	var answer wire.SealAnswer
	request := wire.SealRequest{Value: base64.StdEncoding.EncodeToString(value), Module: module}
	err := c.call(ctx, readTimeout, http.MethodPost, "/secrets/seal", nil, request, &answer)
	return answer.Sealed, err
}
