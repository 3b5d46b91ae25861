package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"github.com/edged/edged/pkg/module"
)

const (
	pullLease    = "edged-pull-"
	pullLeaseFor = 24 * time.Hour
	// idleTries is how often a pull is tried again without a byte of progress.
	idleTries = 3
	// headerTimeout bounds the wait for a registry's answer; its body is bounded by progress.
	headerTimeout = 30 * time.Second
)

// pull fetches and unpacks an image under a lease of its own, so that a line that
// breaks costs nothing twice: the next try, also after a restart, goes on where this
// one ended. fallback says that there is something to run without it, so one try is enough.
func (e *Engine) pull(ctx context.Context, named reference.Named, auth *module.Auth, fallback bool) (images.Image, error) {
	ctx = namespaces.WithNamespace(ctx, e.Namespace)
	name := named.String()
	ctx, release, err := e.leaseFor(ctx, name)
	if err != nil {
		return images.Image{}, classify(err)
	}
	log := e.Log.WithField("image", name)
	log.Info("pulling image")
	resolver := e.resolver(ctx, reference.Domain(named), auth)
	wait, tries := time.Second, 0
	last := int64(-1)
	for {
		image, err := e.client.Pull(ctx, name,
			client.WithResolver(resolver), client.WithPullUnpack, client.WithPullSnapshotter(e.Snapshotter),
			client.WithMaxConcurrentDownloads(3), client.WithPullLabel(labelOwner, owner),
			client.WithChildLabelMap(images.ChildGCLabelsFilterLayers))
		if err == nil {
			log.Info("pulled image")
			release()
			return image.Metadata(), nil
		}
		err = classifyPull(name, err)
		tries++
		if got := e.ingested(ctx); got > last && last >= 0 {
			tries, wait = 1, time.Second
			last = got
		} else {
			last = got
		}
		if !errdefs.IsUnavailable(err) || fallback || tries >= idleTries || ctx.Err() != nil {
			return images.Image{}, err
		}
		log.WithError(err).Warnf("pull failed, trying again in %s", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return images.Image{}, err
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// leaseFor takes, or takes up, the lease of an image's pull. It is released only
// by success: what a failed pull has fetched is kept for a day.
func (e *Engine) leaseFor(ctx context.Context, name string) (context.Context, func(), error) {
	sum := sha256.Sum256([]byte(name))
	id := pullLease + hex.EncodeToString(sum[:8])
	m := e.client.LeasesService()
	lease, err := m.Create(ctx, leases.WithID(id), leases.WithExpiration(pullLeaseFor), leases.WithLabels(map[string]string{labelOwner: owner}))
	if errdefs.IsAlreadyExists(err) {
		lease, err = leases.Lease{ID: id}, nil
	}
	if err != nil {
		return ctx, nil, err
	}
	release := func() {
		ctx, cancel := e.call(context.WithoutCancel(ctx))
		defer cancel()
		if err := ignoreNotFound(m.Delete(ctx, lease)); err != nil {
			e.Log.WithError(err).Debug("cannot give up a pull lease; it expires")
		}
	}
	return leases.WithLease(ctx, lease.ID), release, nil
}

// ingested sums what unfinished downloads have on the disk: the measure of progress.
func (e *Engine) ingested(ctx context.Context) int64 {
	statuses, err := e.client.ContentStore().ListStatuses(ctx)
	if err != nil {
		return -1
	}
	var sum int64
	for _, s := range statuses {
		sum += s.Offset
	}
	return sum
}

// resolver asks registries as their hosts.toml says, and shows the credentials to
// nobody but the registry they were given for.
func (e *Engine) resolver(ctx context.Context, domain string, auth *module.Auth) remotes.Resolver {
	opts := config.HostOptions{
		HostDir: config.HostDirFromRoot(e.CertsDir),
		UpdateClient: func(c *http.Client) error {
			if t, ok := c.Transport.(*http.Transport); ok {
				t.ResponseHeaderTimeout = headerTimeout
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
