package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/edged/edged/pkg/client/wire"
)

const catalogPath = "/rest_api/v1/modules/"

// buildsAtOnce is how many builds a request asks for, the most there are on a page.
const buildsAtOnce = 100

// EachBuild calls fn with each build of the catalog that the query's filters find, in
// its order, until fn returns an error. A catalog may be larger than memory.
func (c *Client) EachBuild(ctx context.Context, query url.Values, fn func(*wire.Build) error) error {
	q := url.Values{}
	for name, values := range query {
		q[name] = values
	}
	at, size := 0, buildsAtOnce
	for {
		q.Set("page_size", strconv.Itoa(size))
		q.Set("page", strconv.Itoa(at/size+1))
		var answer wire.BuildPage
		err := c.fromCatalog(ctx, catalogPath, q, &answer)
		switch {
		case errors.Is(err, errTooLarge) && size > 1:
			// Of builds as large as they may be a page is too much, and one is not. Whoever makes
			// such shall not keep others from being found.
			size /= 10
			continue
		case err != nil:
			return err
		}
		for i := range answer.Results {
			if err := fn(&answer.Results[i]); err != nil {
				return err
			}
		}
		if answer.Next == "" {
			return nil
		}
		if at += size; at%buildsAtOnce == 0 {
			size = buildsAtOnce
		}
	}
}

// Build returns a build of the catalog by its uid. Errors: errdefs.NotFound.
func (c *Client) Build(ctx context.Context, uid string) (b wire.Build, err error) {
	return b, c.fromCatalog(ctx, catalogPath+url.PathEscape(uid)+"/", nil, &b)
}

func (c *Client) fromCatalog(ctx context.Context, path string, query url.Values, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	resp, err := c.request(ctx, http.MethodGet, path, query, nil, "")
	if err != nil {
		return err
	}
	return c.read(resp, answer)
}
