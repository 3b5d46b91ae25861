package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/edged/edged/pkg/image"
)

var _ image.Engine = (*Engine)(nil)

// preloadedNames are the images that archives in preload folders have.
type preloadedNames struct {
	mu    sync.Mutex
	names map[string]bool
}

func (p *preloadedNames) add(names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names == nil {
		p.names = map[string]bool{}
	}
	for _, n := range names {
		p.names[n] = true
	}
}

func (p *preloadedNames) has(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.names[name]
}

// Images lists the images of edged's namespace, with their size on the disk.
func (e *Engine) Images(ctx context.Context) ([]image.Image, error) {
	ctx, done := e.call(ctx)
	defer done()
	records, err := e.client.ImageService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list images: %w", classify(err))
	}
	have, err := e.stored(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]image.Image, 0, len(records))
	keep := make(map[digest.Digest]bool, len(records))
	for _, r := range records {
		keep[r.Target.Digest] = true
		all = append(all, image.Image{
			Name: r.Name, Digest: r.Target.Digest.String(), Size: have.size(e.contentsOf(ctx, r)), Changed: r.UpdatedAt,
			Owned: r.Labels[labelOwner] == owner, Preloaded: e.preloaded.has(r.Name), Package: r.Labels[labelPackage] != "",
		})
	}
	e.contents.retain(keep)
	return all, nil
}

// RemoveImage removes a name that still means this digest, waits until containerd
// has freed what nothing else needs, and returns how many bytes that was.
func (e *Engine) RemoveImage(ctx context.Context, name, d string) (int64, error) {
	ctx, done := e.call(ctx)
	defer done()
	record, err := e.client.ImageService().Get(ctx, name)
	switch {
	case errdefs.IsNotFound(err), err == nil && record.Target.Digest.String() != d:
		return 0, nil
	case err != nil:
		return 0, classify(err)
	}
	before, err := e.stored(ctx)
	if err != nil {
		return 0, err
	}
	if err := ignoreNotFound(e.client.ImageService().Delete(ctx, name, images.SynchronousDelete())); err != nil {
		return 0, classify(err)
	}
	after, err := e.stored(ctx)
	if err != nil {
		return 0, nil //nolint:nilerr // it is gone; how much that was stays unknown
	}
	return before.without(after), nil
}

// stored is what containerd has on the disk in edged's namespace, in bytes.
type stored struct {
	blobs  map[digest.Digest]int64
	layers map[string]layer // by name of the snapshot
}

type layer struct {
	parent string
	size   int64
}

// stored asks for the size of each layer once: a committed snapshot never changes.
func (e *Engine) stored(ctx context.Context) (*stored, error) {
	have := &stored{blobs: map[digest.Digest]int64{}, layers: map[string]layer{}}
	err := e.client.ContentStore().Walk(ctx, func(info content.Info) error {
		have.blobs[info.Digest] = info.Size
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list contents: %w", classify(err))
	}
	s := e.client.SnapshotService(e.Snapshotter)
	err = s.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		if info.Kind == snapshots.KindCommitted {
			have.layers[info.Name] = layer{parent: info.Parent}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list snapshots: %w", classify(err))
	}
	known := e.contents.sizes(have.layers)
	for name, l := range have.layers {
		size, ok := known[name]
		if !ok {
			usage, err := s.Usage(ctx, name)
			if err != nil {
				continue // it went meanwhile
			}
			size = usage.Size
			e.contents.sized(name, size)
		}
		l.size = size
		have.layers[name] = l
	}
	return have, nil
}

// size is what of an image is there.
func (h *stored) size(c contents) int64 {
	var sum int64
	for _, d := range c.blobs {
		sum += h.blobs[d]
	}
	for name := c.chainID; name != ""; {
		l, ok := h.layers[name]
		if !ok {
			break
		}
		sum += l.size
		name = l.parent
	}
	return sum
}

// without is what is in h and not in other.
func (h *stored) without(other *stored) int64 {
	var sum int64
	for d, size := range h.blobs {
		if _, ok := other.blobs[d]; !ok {
			sum += size
		}
	}
	for name, l := range h.layers {
		if _, ok := other.layers[name]; !ok {
			sum += l.size
		}
	}
	return sum
}

// contents is what an image consists of.
type contents struct {
	blobs   []digest.Digest
	chainID string
}

// contentsCache spares lists the questions whose answer cannot change.
type contentsCache struct {
	mu      sync.Mutex
	byImage map[digest.Digest]contents
	byLayer map[string]int64
}

// sizes are those known of the layers that there are; others are forgotten.
func (c *contentsCache) sizes(layers map[string]layer) map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := make(map[string]int64, len(layers))
	for name := range layers {
		if size, ok := c.byLayer[name]; ok {
			known[name] = size
		}
	}
	c.byLayer = make(map[string]int64, len(known))
	for name, size := range known {
		c.byLayer[name] = size
	}
	return known
}

func (c *contentsCache) sized(name string, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byLayer[name] = size
}

// retain forgets all other images.
func (c *contentsCache) retain(keep map[digest.Digest]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for d := range c.byImage {
		if !keep[d] {
			delete(c.byImage, d)
		}
	}
}

// contentsOf reads what an image consists of; of one that is not whole, as much as there is.
func (e *Engine) contentsOf(ctx context.Context, r images.Image) contents {
	e.contents.mu.Lock()
	known, ok := e.contents.byImage[r.Target.Digest]
	e.contents.mu.Unlock()
	if ok {
		return known
	}
	c := contents{blobs: []digest.Digest{r.Target.Digest}}
	store := e.client.ContentStore()
	manifest, err := images.Manifest(ctx, store, r.Target, platforms.Default())
	if err != nil || manifest.Config.Size > maxConfig {
		return c
	}
	c.blobs = append(c.blobs, manifest.Config.Digest)
	for _, l := range manifest.Layers {
		c.blobs = append(c.blobs, l.Digest)
	}
	blob, err := content.ReadBlob(ctx, store, manifest.Config)
	var config ocispec.Image
	if err != nil || json.Unmarshal(blob, &config) != nil {
		return c
	}
	c.chainID = identity.ChainID(config.RootFS.DiffIDs).String()
	e.contents.mu.Lock()
	defer e.contents.mu.Unlock()
	if e.contents.byImage == nil {
		e.contents.byImage = map[digest.Digest]contents{}
	}
	e.contents.byImage[r.Target.Digest] = c
	return c
}
