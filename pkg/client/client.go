// Package client is the Go client of edged's management socket; List works on the
// workload socket too. It is what edgectl and the agent use. A Client says nothing
// of who calls: edged learns that from the kernel, so a program has the rights of
// the process that it runs as.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// apiVersion is the newest version of the management contract; every call is in it.
const apiVersion = "2022-08-03"

// Deadlines of calls. They are longer than edged's own for the same work, so that
// its answer, which knows the cause, comes first. A shorter one of the caller's
// context wins.
const (
	readTimeout   = 30 * time.Second // from what edged has in memory
	changeTimeout = 6 * time.Minute  // may stop a module with a long stop timeout
	pullTimeout   = 130 * time.Minute
	dialTimeout   = 10 * time.Second
)

// Bounds of what is read into memory.
const (
	maxAnswer = 64 << 20
	maxError  = 64 << 10
)

var errTooLarge = fmt.Errorf("cannot read answer: it is larger than %d bytes", maxAnswer)

// Client speaks to one socket. It may be used by many goroutines at once.
type Client struct {
	path string
	http *http.Client
}

// New returns a Client of the socket at host, "unix:///path" or a bare absolute
// path. Empty is the environment's EDGED_HOST, and DefaultHost without one. Nothing
// is connected yet. The error is errdefs.InvalidArgument.
func New(host string) (*Client, error) {
	path, err := socketPath(host)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	return &Client{path: path, http: &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, "unix", path)
				if err != nil {
					return nil, unreachable(path, err)
				}
				return conn, nil
			},
			// Shorter than edged's own: the one who closes a silent connection is the
			// one who would else lose a request on it.
			IdleConnTimeout: 15 * time.Second,
			// For requests that ask whether their body is wanted.
			ExpectContinueTimeout: readTimeout,
			DisableCompression:    true,
		},
		// edged redirects nothing; whoever does is not edged.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Host is the socket in the form that New and EDGED_HOST take.
func (c *Client) Host() string { return scheme + c.path }

// Close closes connections that are kept for further calls.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call is one request with a JSON answer, or none when answer is nil.
func (c *Client) call(ctx context.Context, timeout time.Duration, method, path string, query url.Values, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := c.send(ctx, method, path, query, body, "")
	if err != nil {
		return err
	}
	return c.read(resp, answer)
}

// read takes the answer's JSON, or none when answer is nil.
func (c *Client) read(resp *http.Response, answer any) error {
	defer resp.Body.Close()
	if answer == nil {
		// What is read to its end leaves the connection fit for the next call.
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxError))
		return nil
	}
	return c.decode(resp.Body, answer)
}

// decode reads a JSON answer.
func (c *Client) decode(body io.Reader, answer any) error {
	b, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return c.broken(err)
	}
	if len(b) > maxAnswer {
		return errTooLarge
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("cannot read answer: %w", err)
	}
	return nil
}

// send returns a response whose status is a success; any other is an *Error.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body any, accept string) (*http.Response, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("api-version", apiVersion)
	return c.request(ctx, method, path, query, body, accept)
}

// request is send to an API that has no versions.
func (c *Client) request(ctx context.Context, method, path string, query url.Values, body any, accept string) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("cannot encode request: %w", err)
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://edged"+path+"?"+query.Encode(), content)
	if err != nil {
		return nil, fmt.Errorf("cannot make request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.broken(err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, readError(resp)
	}
	return resp, nil
}

// broken words an error of the connection. The URL that net/http puts before it is
// left out: it names a host that does not exist.
func (c *Client) broken(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var known *UnreachableError
	if errors.As(err, &known) {
		return known
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return unreachable(c.path, err)
}

// modulePath is the path of a module, its name escaped as one segment.
func modulePath(name, action string) string {
	p := "/modules/" + url.PathEscape(name)
	if action != "" {
		p += "/" + action
	}
	return p
}
