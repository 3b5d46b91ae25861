package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/docker/go-units"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/edged/edged/pkg/image"
)

const (
	measureEvery = 500 * time.Millisecond
	logEvery     = 10 * time.Second
)

// progress is how far a pull has come. Its watchers are woken by each change.
type progress struct {
	mu      sync.Mutex
	now     image.Progress
	refs    []string // containerd's names of the downloads, as now.Layers
	known   map[string]knownLayer
	changed chan struct{}
	watched bool
}

type knownLayer struct {
	size int64
	ref  string
}

func newProgress() *progress {
	return &progress{now: image.Progress{Phase: image.Waiting}, changed: make(chan struct{}), known: map[string]knownLayer{}}
}

// look returns a picture and what is closed when it is old.
func (p *progress) look() (image.Progress, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watched = true
	return image.Progress{Phase: p.now.Phase, Layers: slices.Clone(p.now.Layers)}, p.changed
}

func (p *progress) bytes() (offset, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now.Bytes()
}

// wake is called under mu.
func (p *progress) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *progress) phase(to image.Phase) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now.Phase != to {
		p.now.Phase = to
		p.wake()
	}
}

// watch learns from a pull's handlers which layers there are, and which have come.
func (p *progress) watch(h images.Handler) images.Handler {
	return images.HandlerFunc(func(ctx context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		children, err := h.Handle(ctx, desc)
		switch {
		case err != nil:
		case images.IsManifestType(desc.MediaType):
			p.know(ctx, children)
		case images.IsLayerType(desc.MediaType):
			p.set(desc.Digest.String(), desc.Size)
		}
		return children, err
	})
}

// know notes the layers of an image; which of them have to be fetched shows later.
func (p *progress) know(ctx context.Context, children []ocispec.Descriptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range children {
		if images.IsLayerType(c.MediaType) && c.Size >= 0 {
			p.known[c.Digest.String()] = knownLayer{c.Size, remotes.MakeRefKey(ctx, c)}
		}
	}
	p.now.Phase = image.Downloading
	p.wake()
}

// want notes that a layer has to be fetched. Those whose file system is here are not wanted.
func (p *progress) want(d string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.known[d]
	if !ok || slices.ContainsFunc(p.now.Layers, func(l image.Layer) bool { return l.Digest == d }) {
		return
	}
	p.now.Layers = append(p.now.Layers, image.Layer{Digest: d, Total: l.size})
	p.refs = append(p.refs, l.ref)
	p.wake()
}

// wantingLocks tell a pull's progress what the pull is about to fetch, which it may
// have to wait for: another pull has it in hand.
type wantingLocks struct {
	*keyedLocks
	progress *progress
}

// Lock waits for the key; containerd's unpacker calls that of a blob "blob://<digest>".
func (l wantingLocks) Lock(ctx context.Context, key string) error {
	if d, ok := strings.CutPrefix(key, "blob://"); ok {
		l.progress.want(d)
	}
	return l.keyedLocks.Lock(ctx, key)
}

// set notes how much of a layer there is. It never goes back but to a real beginning.
func (p *progress) set(d string, offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.now.Layers {
		l := &p.now.Layers[i]
		if l.Digest != d || l.Offset == offset || l.Offset == l.Total {
			continue
		}
		l.Offset = min(offset, l.Total)
		if got, total := p.now.Bytes(); got == total {
			p.now.Phase = image.Unpacking
		}
		p.wake()
	}
}

// follow measures downloads for those who look, and tells the log now and then.
func (e *Engine) follow(ctx context.Context, f *flight) {
	ctx = namespaces.WithNamespace(ctx, e.Namespace)
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	logged, before := time.Now(), int64(0)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		due := time.Since(logged) >= logEvery
		if !due && !f.progress.isWatched() {
			continue
		}
		e.measure(ctx, f.progress)
		if !due {
			continue
		}
		got, total := f.progress.bytes()
		e.Log.WithField("image", f.named.String()).Info(pace(got, total, got-before, time.Since(logged)))
		logged, before = time.Now(), got
	}
}

func (p *progress) isWatched() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.watched
}

// measure asks containerd how much of each download is on the disk.
func (e *Engine) measure(ctx context.Context, p *progress) {
	ctx, done := e.call(ctx) // a flight has no end of its own
	defer done()
	statuses, err := e.client.ContentStore().ListStatuses(ctx, `ref~=^layer-`)
	if err != nil {
		return // the pull itself will say so
	}
	p.mu.Lock()
	refs, layers := slices.Clone(p.refs), slices.Clone(p.now.Layers)
	p.mu.Unlock()
	for _, s := range statuses {
		if i := slices.Index(refs, s.Ref); i >= 0 {
			p.set(layers[i].Digest, s.Offset)
		}
	}
}

// pace words progress for the log.
func pace(got, total, since int64, in time.Duration) string {
	if total == 0 {
		return "pulling image: waiting for its registry"
	}
	rate := float64(since) / max(in.Seconds(), 0.001)
	return fmt.Sprintf("pulling image: %d%% of %s, %s/s", got*100/total, amount(total), units.BytesSize(rate))
}

func amount(n int64) string { return units.BytesSize(float64(n)) }
