package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/container"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/module"
)

// unpacked is what edged must know of an image to make containers of it. It is
// found by digest, so it never changes.
type unpacked struct {
	config  ocispec.ImageConfig
	chainID string
	// health and shell are Docker's additions to the configuration.
	health *container.HealthConfig
	shell  []string
	users  *sync.Map // string, as User says it -> specs.User, as the image's files say
	// arch and created are what it says of itself.
	arch    string
	created time.Time
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
	named, err := image.Normalize(ref)
	if err != nil {
		return nil, fmt.Errorf("invalid settings.image: %w", err)
	}
	return named, nil
}

// EnsureImage makes the image be there and unpacked. Under on-create the registry
// is asked, except for a digest that is here and for local images; when it cannot
// be reached, what is here is used. One that nothing may fetch is waited for while the
// archives of the start are imported. Errors: InvalidArgument (the registry's no,
// never and not here), Unavailable.
func (e *Engine) EnsureImage(ctx context.Context, ref string, policy module.PullPolicy, auth *module.Auth) (module.Image, error) {
	named, err := parseReference(ref)
	if err != nil {
		return module.Image{}, err
	}
	name := named.String()
	_, byDigest := named.(reference.Digested)
	mayAsk := policy != module.PullNever && !strings.HasPrefix(name, image.LocalPrefix)
	record, here, err := e.look(ctx, name)
	if err == nil && !here && !mayAsk {
		// An archive may be about to bring it.
		if err = e.awaitImported(ctx); err == nil {
			record, here, err = e.look(ctx, name)
		}
	}
	if err != nil {
		return module.Image{}, err
	}
	switch {
	case here && (byDigest || !mayAsk):
	case !mayAsk:
		return module.Image{}, fmt.Errorf("image %s is not on this device, and nothing may fetch it: %w", name, errdefs.ErrInvalidArgument)
	default:
		pulled, err := e.pull(ctx, named, auth, here, nil)
		switch {
		case err == nil:
			record = pulled
		case here && errdefs.IsUnavailable(err):
			e.Log.WithError(err).WithField("image", name).Warn("the registry cannot be reached; using the image that is here")
		default:
			return module.Image{}, err
		}
	}
	_, err = e.unpack(ctx, record)
	if errors.Is(err, errNotWhole) && mayAsk {
		// Layers are dropped once they are unpacked. Where the snapshots are gone too, as
		// with another snapshotter, there is nothing to make them of but the registry's.
		e.Log.WithField("image", name).Warn("the image that is here is not whole; pulling it again")
		if record, err = e.pull(ctx, named, auth, false, nil); err == nil {
			_, err = e.unpack(ctx, record)
		}
	}
	if err != nil {
		return module.Image{}, err
	}
	return module.Image{Ref: name, Digest: record.Target.Digest.String()}, nil
}

// look asks containerd whether an image is here.
func (e *Engine) look(ctx context.Context, name string) (record images.Image, here bool, err error) {
	ctx, done := e.call(ctx)
	defer done()
	record, err = e.client.ImageService().Get(ctx, name)
	if err != nil && !errdefs.IsNotFound(err) {
		return record, false, classify(err)
	}
	return record, err == nil, nil
}

func (e *Engine) awaitImported(ctx context.Context) error {
	if e.Imported == nil {
		return nil
	}
	select {
	case <-e.Imported:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("image archives are still being imported: %w", errdefs.ErrUnavailable)
	}
}

// errNotWhole is of an image of which there is less than its containers need.
var errNotWhole = errors.New("it has nothing for this platform, or is not whole")

// unpack makes sure that the image's layers are snapshots and returns what
// containers need. It asks once per digest; after that only whether the snapshot is there.
func (e *Engine) unpack(ctx context.Context, record images.Image) (unpacked, error) {
	ctx, done := e.call(ctx)
	defer done()
	return e.unpackSlowly(ctx, record)
}

// unpackSlowly is unpack for whoever has given ctx a namespace and a deadline.
func (e *Engine) unpackSlowly(ctx context.Context, record images.Image) (unpacked, error) {
	if u, ok := e.images.get(record.Target.Digest); ok {
		if here, err := e.haveLayers(ctx, u); err == nil && here {
			return u, nil
		}
	}
	return e.unpackAnew(ctx, record)
}

// unpackAnew is unpackSlowly for an image that was just written. Where the layers were here
// already they are another image's, with which they would go: what keeps them for this one is
// a label of its configuration, and Unpack is who writes it. It reads no layer that is a
// snapshot.
func (e *Engine) unpackAnew(ctx context.Context, record images.Image) (unpacked, error) {
	whole := client.NewImage(e.client, record)
	u, err := e.readConfig(ctx, whole)
	// Twice, because the other image may go before the label is there.
	for range 2 {
		var kept bool
		if err == nil {
			kept, err = e.keepsLayers(ctx, whole, u)
		}
		if err != nil || kept {
			break
		}
		err = e.unpackOnce(ctx, whole)
	}
	if err != nil {
		return unpacked{}, e.unpackError(record.Name, err)
	}
	e.images.put(record.Target.Digest, u)
	return u, nil
}

func (e *Engine) unpackOnce(ctx context.Context, im client.Image) error {
	ctx, release, err := e.ownLease(ctx, "unpack")
	if err != nil {
		return err
	}
	defer release()
	if err := im.Unpack(ctx, e.Snapshotter); err != nil {
		return err
	}
	return e.settleLayers(ctx)
}

// keepsLayers says whether an image's layers are snapshots that stay as long as it does.
func (e *Engine) keepsLayers(ctx context.Context, im client.Image, u unpacked) (bool, error) {
	if u.chainID == "" {
		return true, nil
	}
	config, err := im.Config(ctx)
	if err != nil {
		return false, err
	}
	info, err := im.ContentStore().Info(ctx, config.Digest)
	if err != nil || info.Labels["containerd.io/gc.ref.snapshot."+e.Snapshotter] != u.chainID {
		return false, err
	}
	return e.haveLayers(ctx, u)
}

// haveLayers says whether an image's layers are snapshots.
func (e *Engine) haveLayers(ctx context.Context, u unpacked) (bool, error) {
	if u.chainID == "" {
		return true, nil
	}
	_, err := e.client.SnapshotService(e.Snapshotter).Stat(ctx, u.chainID)
	return err == nil, ignoreNotFound(err)
}

func (e *Engine) unpackError(name string, err error) error {
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("cannot use image %s: %w: %w: %w", name, errNotWhole, err, errdefs.ErrInvalidArgument)
	}
	return fmt.Errorf("cannot unpack image %s: %w", name, classify(err))
}

// maxConfig bounds an image's configuration, which strangers write.
const maxConfig = 4 << 20

func (e *Engine) readConfig(ctx context.Context, im client.Image) (unpacked, error) {
	desc, err := im.Config(ctx)
	if err != nil {
		return unpacked{}, err
	}
	if desc.Size > maxConfig {
		return unpacked{}, fmt.Errorf("image configuration of %d bytes is too large: %w", desc.Size, errdefs.ErrInvalidArgument)
	}
	blob, err := content.ReadBlob(ctx, im.ContentStore(), desc)
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
	var created time.Time
	if parsed.Created != nil {
		created = *parsed.Created
	}
	return unpacked{arch: archOf(parsed.Architecture, parsed.Variant), created: created, health: docker.Config.Healthcheck, shell: docker.Config.Shell, config: parsed.Config, chainID: identity.ChainID(parsed.RootFS.DiffIDs).String(), users: new(sync.Map)}, nil
}

// ImageDigest is what an image that is on the device means; false when it is not. The error
// is Unavailable, or InvalidArgument for a text that names none.
func (e *Engine) ImageDigest(ctx context.Context, ref string) (string, bool, error) {
	named, err := parseReference(ref)
	if err != nil {
		return "", false, err
	}
	record, here, err := e.look(ctx, named.String())
	return record.Target.Digest.String(), here, err
}
