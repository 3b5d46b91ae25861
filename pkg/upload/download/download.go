// Package download gets the dependencies of packages from the hosts that the
// configuration names, and from no other: a package must not choose whom the device calls.
package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/upload"
)

var _ upload.Fetcher = (*Fetcher)(nil)

// Bounds of one download.
const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 30 * time.Second
	// silence is how long a server may send nothing.
	silence = time.Minute
	// longest is a whole download.
	longest      = time.Hour
	maxRedirects = 5
)

// Fetcher downloads from its hosts alone.
type Fetcher struct {
	hosts  []string
	client *http.Client
}

// New returns a Fetcher of hosts, "name" for the usual ports or "name:port".
func New(hosts []string) *Fetcher {
	f := &Fetcher{}
	for _, h := range hosts {
		f.hosts = append(f.hosts, strings.ToLower(h))
	}
	f.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout:   dialTimeout,
			ResponseHeaderTimeout: headerTimeout,
			DisableCompression:    true, // what is compared is what was put there
			DisableKeepAlives:     true, // dependencies are rare
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			if via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
				return errors.New("it leads from https to http")
			}
			return f.allowed(r.URL)
		},
	}
	return f
}

// allowed says whether a URL is of one of the hosts.
func (f *Fetcher) allowed(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return fmt.Errorf("%s is neither http nor https, or has a user: %w", u.Redacted(), errdefs.ErrInvalidArgument)
	}
	host := strings.ToLower(u.Host)
	usual := strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
	if !slices.Contains(f.hosts, host) && !slices.Contains(f.hosts, usual) {
		return fmt.Errorf("%q is not one of the hosts from which this device takes dependencies ([uploads] dependency_hosts): %w", u.Host, errdefs.ErrInvalidArgument)
	}
	return nil
}

// Fetch opens what is at a URL. Errors: InvalidArgument, NotFound, Unavailable.
func (f *Fetcher) Fetch(ctx context.Context, address string, limit int64) (io.ReadCloser, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%q is no URL: %w", address, errdefs.ErrInvalidArgument)
	}
	if err := f.allowed(u); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("%q is no URL: %w", address, errdefs.ErrInvalidArgument)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		cancel()
		if errdefs.IsInvalidArgument(err) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrUnavailable)
	}
	if err := answer(resp, limit); err != nil {
		_ = resp.Body.Close()
		cancel()
		return nil, err
	}
	b := &body{ReadCloser: resp.Body, cancel: cancel}
	b.timer = time.AfterFunc(silence, cancel)
	return b, nil
}

func answer(resp *http.Response, limit int64) error {
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		return fmt.Errorf("%s answers %s: %w", resp.Request.URL.Host, resp.Status, errdefs.ErrNotFound)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answers %s: %w", resp.Request.URL.Host, resp.Status, errdefs.ErrUnavailable)
	case resp.ContentLength > limit:
		return fmt.Errorf("it has %d bytes, %d at most are taken: %w", resp.ContentLength, limit, errdefs.ErrInvalidArgument)
	}
	return nil
}

// body ends a download that has stopped moving.
type body struct {
	io.ReadCloser
	cancel context.CancelFunc
	timer  *time.Timer
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.timer.Reset(silence)
	return n, err
}

func (b *body) Close() error {
	b.timer.Stop()
	b.cancel()
	return b.ReadCloser.Close()
}
