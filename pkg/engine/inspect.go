package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// ImageFacts is what an image says of itself.
type ImageFacts struct {
	// MediaType of its manifest or index, and Arch as Go names it.
	MediaType, Arch string
	// Created is zero when nobody said.
	Created time.Time
}

// ImageNames are the digests of the images in edged's own namespace, by name. It is
// cheaper than Images, which measures them.
func (e *Engine) ImageNames(ctx context.Context) (map[string]string, error) {
	ctx, done := e.call(ctx)
	defer done()
	records, err := e.client.ImageService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list images: %w", classify(err))
	}
	names := make(map[string]string, len(records))
	for _, r := range records {
		names[r.Name] = r.Target.Digest.String()
	}
	return names, nil
}

// Inside mounts an image read-only while do looks into it. Errors: errdefs.NotFound when
// no name means the digest any more, Unavailable, and those of do.
func (e *Engine) Inside(ctx context.Context, d string, do func(root string, facts ImageFacts) error) error {
	parsed, err := digest.Parse(d)
	if err != nil {
		return fmt.Errorf("invalid digest %q: %w: %w", d, err, errdefs.ErrInvalidArgument)
	}
	id := "inside-" + parsed.Encoded()
	e.setMaking(id, true)
	defer e.setMaking(id, false)
	asking, asked := e.call(ctx)
	defer asked()
	records, err := e.client.ImageService().List(asking, fmt.Sprintf("target.digest==%s", parsed))
	switch {
	case err != nil:
		return fmt.Errorf("cannot find image %s: %w", d, classify(err))
	case len(records) == 0:
		return fmt.Errorf("image %s not found: %w", d, errdefs.ErrNotFound)
	}
	image, err := e.unpack(asking, records[0])
	if err != nil {
		return err
	}
	facts := ImageFacts{MediaType: records[0].Target.MediaType, Arch: image.arch, Created: image.created}
	if image.chainID == "" {
		return do("", facts) // it has no file system
	}
	_, release, err := e.operationLease(asking, id)
	if err != nil {
		return err
	}
	defer release()
	return e.withImage(leases.WithLease(ctx, opLease+id), id, image.chainID, func(root string) error { return do(root, facts) })
}

// archOf gives an architecture its variant, as "arm/v7".
func archOf(arch, variant string) string { return strings.TrimSuffix(arch+"/"+variant, "/") }
