package engine

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"

	"github.com/edged/edged/pkg/module"
)

const (
	// headerTimeout bounds the wait for a registry's answer, and stallTimeout that for the
	// next byte of its body: a line that died without a word is given up after it, and what
	// came before is kept.
	headerTimeout = 30 * time.Second
	stallTimeout  = time.Minute
)

// resolver asks registries as their hosts.toml says, and shows the credentials to
// nobody but the registry they were given for.
func (e *Engine) resolver(ctx context.Context, domain string, auth *module.Auth) remotes.Resolver {
	opts := config.HostOptions{
		HostDir: config.HostDirFromRoot(e.CertsDir),
		UpdateClient: func(c *http.Client) error {
			if t, ok := c.Transport.(*http.Transport); ok {
				t.ResponseHeaderTimeout = headerTimeout
				c.Transport = &watchedTransport{RoundTripper: t, stall: stallTimeout, bytes: &e.pulled.bytes}
			}
			return nil
		},
	}
	if auth != nil {
		opts.Credentials = func(host string) (string, string, error) {
			if !sameRegistry(host, domain, auth.ServerAddress) {
				return "", "", nil
			}
			return auth.Username, auth.Password, nil
		}
	}
	return docker.NewResolver(docker.ResolverOptions{Hosts: config.ConfigureHosts(ctx, opts)})
}

// sameRegistry says whether host is the one that credentials were given for: the
// server address when there is one, else the image's own registry. Docker's has several names.
func sameRegistry(host, domain, server string) bool {
	if server == "" {
		server = domain
	}
	server = strings.TrimPrefix(strings.TrimPrefix(server, "https://"), "http://")
	server, _, _ = strings.Cut(server, "/")
	canonical := func(h string) string {
		switch h {
		case "index.docker.io", "registry-1.docker.io":
			return "docker.io"
		}
		return strings.ToLower(h)
	}
	return canonical(host) == canonical(server)
}

// watchedTransport counts what comes and ends bodies that stall.
type watchedTransport struct {
	http.RoundTripper
	stall time.Duration
	bytes *atomic.Uint64
}

// RoundTrip is http.RoundTripper's.
func (t *watchedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err == nil && resp.Body != nil && resp.Body != http.NoBody {
		resp.Body = &watchedBody{body: resp.Body, stall: t.stall, bytes: t.bytes}
	}
	return resp, err
}

// watchedBody ends like a line that broke when it stalls, which the fetcher mends by
// asking for the rest.
type watchedBody struct {
	body    io.ReadCloser
	stall   time.Duration
	bytes   *atomic.Uint64
	stalled atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	watch := time.AfterFunc(b.stall, func() {
		b.stalled.Store(true)
		_ = b.body.Close()
	})
	n, err := b.body.Read(p)
	watch.Stop()
	b.bytes.Add(uint64(n))
	if err != nil && b.stalled.Load() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *watchedBody) Close() error { return b.body.Close() }
