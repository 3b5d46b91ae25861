package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/edged/edged/pkg/client/wire"
)

// maxEvent bounds one line of the stream.
const maxEvent = 1 << 20

// Events calls do with each change of any module, until ctx ends, do returns an error,
// which is returned, or the connection breaks: *UnreachableError. With initial the
// modules that there are come first, as wire.EventPresent, and then wire.EventReady.
func (c *Client) Events(ctx context.Context, initial bool, do func(wire.Event) error) error {
	query := url.Values{}
	if initial {
		query.Set("initial", "true")
	}
	resp, err := c.send(ctx, http.MethodGet, "/events", query, nil, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		var e wire.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("cannot read answer: %w", err)
		}
		if err := do(e); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF // the stream has no end of its own
	}
	return c.broken(err)
}
