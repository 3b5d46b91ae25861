package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/container"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/edged/edged/pkg/module"
)

// localPrefix is the reserved prefix of images that are made on the device; no
// registry is ever asked for them.
const localPrefix = "edged.local/"

// unpacked is what edged must know of an image to make containers of it. It is
// found by digest, so it never changes.
type unpacked struct {
	config  ocispec.ImageConfig
	chainID string
	// health and shell are Docker's additions to the configuration.
	health *container.HealthConfig
	shell  []string
	users  *sync.Map // string, as User says it -> specs.User, as the image's files say
}

// imageCache spares a create the questions whose answer cannot change.
type imageCache struct {
	mu       sync.Mutex
	byDigest map[digest.Digest]unpacked
}

func (c *imageCache) get(d digest.Digest) (unpacked, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.byDigest[d]
	return u, ok
}

func (c *imageCache) put(d digest.Digest, u unpacked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byDigest == nil || len(c.byDigest) >= 256 {
		c.byDigest = map[digest.Digest]unpacked{}
	}
	c.byDigest[d] = u
}

// parseReference gives a reference the form under which containerd keeps images.
// The error is errdefs.InvalidArgument.
func parseReference(ref string) (reference.Named, error) {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return nil, fmt.Errorf("invalid settings.image %q: %w: %w", ref, err, errdefs.ErrInvalidArgument)
	}
	return named, nil
}

// EnsureImage makes the image be there and unpacked. Under on-create the registry
// is asked, except for a digest that is here and for local images; when it cannot
// be reached, what is here is used. Errors: InvalidArgument (the registry's no,
// never and not here), Unavailable.
func (e *Engine) EnsureImage(ctx context.Context, ref string, policy module.PullPolicy, auth *module.Auth) (module.Image, error) {
	named, err := parseReference(ref)
	if err != nil {
		return module.Image{}, err
	}
	name := named.String()
	_, byDigest := named.(reference.Digested)
	cctx, done := e.call(ctx)
	defer done()
	record, err := e.client.ImageService().Get(cctx, name)
	here := err == nil
	if err != nil && !errdefs.IsNotFound(err) {
		return module.Image{}, classify(err)
	}
	switch {
	case here && (policy == module.PullNever || byDigest || strings.HasPrefix(name, localPrefix)):
	case policy == module.PullNever || strings.HasPrefix(name, localPrefix):
		return module.Image{}, fmt.Errorf("image %s is not on this device, and nothing may fetch it: %w", name, errdefs.ErrInvalidArgument)
	default:
		pulled, err := e.pull(ctx, named, auth, here)
		switch {
		case err == nil:
			record = pulled
		case here && errdefs.IsUnavailable(err):
			e.Log.WithError(err).WithField("image", name).Warn("the registry cannot be reached; using the image that is here")
		default:
			return module.Image{}, err
		}
	}
	if _, err := e.unpack(ctx, record); err != nil {
		return module.Image{}, err
	}
	return module.Image{Ref: name, Digest: record.Target.Digest.String()}, nil
}

// unpack makes sure that the image's layers are snapshots and returns what
// containers need. It asks once per digest; after that only whether the snapshot is there.
func (e *Engine) unpack(ctx context.Context, record images.Image) (unpacked, error) {
	ctx, done := e.call(ctx)
	defer done()
	if u, ok := e.images.get(record.Target.Digest); ok {
		if u.chainID == "" {
			return u, nil
		}
		if _, err := e.client.SnapshotService(e.Snapshotter).Stat(ctx, u.chainID); err == nil {
			return u, nil
		}
	}
	image := client.NewImage(e.client, record)
	ok, err := image.IsUnpacked(ctx, e.Snapshotter)
	if err == nil && !ok {
		err = image.Unpack(ctx, e.Snapshotter)
	}
	if err != nil {
		return unpacked{}, e.unpackError(record.Name, err)
	}
	u, err := e.readConfig(ctx, image)
	if err != nil {
		return unpacked{}, e.unpackError(record.Name, err)
	}
	e.images.put(record.Target.Digest, u)
	return u, nil
}

func (e *Engine) unpackError(name string, err error) error {
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("image %s has nothing for this platform, or is not whole: %w: %w", name, err, errdefs.ErrInvalidArgument)
	}
	return fmt.Errorf("cannot unpack image %s: %w", name, classify(err))
}

// maxConfig bounds an image's configuration, which strangers write.
const maxConfig = 4 << 20

func (e *Engine) readConfig(ctx context.Context, image client.Image) (unpacked, error) {
	desc, err := image.Config(ctx)
	if err != nil {
		return unpacked{}, err
	}
	if desc.Size > maxConfig {
		return unpacked{}, fmt.Errorf("image configuration of %d bytes is too large: %w", desc.Size, errdefs.ErrInvalidArgument)
	}
	blob, err := content.ReadBlob(ctx, image.ContentStore(), desc)
	if err != nil {
		return unpacked{}, err
	}
	var parsed ocispec.Image
	if err := json.Unmarshal(blob, &parsed); err != nil {
		return unpacked{}, fmt.Errorf("cannot read image configuration: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	var docker struct {
		Config struct {
			Healthcheck *container.HealthConfig
			Shell       []string
		} `json:"config"`
	}
	if err := json.Unmarshal(blob, &docker); err != nil {
		// Not part of the image specification: an image that has something else there is one without.
		docker.Config.Healthcheck, docker.Config.Shell = nil, nil
	}
	return unpacked{health: docker.Config.Healthcheck, shell: docker.Config.Shell, config: parsed.Config, chainID: identity.ChainID(parsed.RootFS.DiffIDs).String(), users: new(sync.Map)}, nil
}
