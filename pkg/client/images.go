package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/edged/edged/pkg/client/wire"
)

// imagesTimeout bounds a removal, which waits until the space is free.
const imagesTimeout = 35 * time.Minute

// Images returns the images of the device, by name.
func (c *Client) Images(ctx context.Context) ([]wire.Image, error) {
	var list wire.ImageList
	err := c.call(ctx, readTimeout, http.MethodGet, "/images", nil, nil, &list)
	return list.Images, err
}

// PruneImages removes images that nothing uses and that have not been used for long;
// with all, whatever their age. Only edgeAgent, root and group edged may. Errors:
// errdefs.PermissionDenied, Unavailable.
func (c *Client) PruneImages(ctx context.Context, all bool) (*wire.ImagesPruned, error) {
	var pruned wire.ImagesPruned
	if err := c.call(ctx, imagesTimeout, http.MethodPost, "/images/prune", nil, wire.ImagePrune{All: all}, &pruned); err != nil {
		return nil, err
	}
	return &pruned, nil
}

// PullImage fetches an image and calls report, if there is one, with each line of
// progress. It returns the last line, which names the image and its digest. The pull
// goes on when ctx ends. Only edgeAgent, root and group edged may. Errors:
// errdefs.InvalidArgument (the registry's no too), PermissionDenied, Unavailable.
func (c *Client) PullImage(ctx context.Context, pull wire.ImagePull, report func(wire.PullStatus)) (*wire.PullStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	resp, err := c.send(ctx, http.MethodPost, "/images/pull", nil, pull, "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(resp.Body)
	for {
		var s wire.PullStatus
		if err := lines.Decode(&s); err != nil {
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) {
				return nil, fmt.Errorf("cannot read answer: %w", err)
			}
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // there was no last line
			}
			return nil, c.broken(err)
		}
		switch s.Status {
		case wire.PullDone:
			return &s, nil
		case wire.PullFailed:
			return nil, &Error{Status: s.Code, Message: s.Message}
		}
		if report != nil {
			report(s)
		}
	}
}
