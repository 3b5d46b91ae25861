package engine

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"golang.org/x/sync/semaphore"

	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/module"
)

const (
	// idleTries is how often a pull is tried again without a byte of progress.
	idleTries = 3
	// maxPulls at once, each with maxDownloads at once: more would only share the same
	// line, and each download has buffers of a MiB.
	maxPulls     = 4
	maxDownloads = 3
)

// pullCounters count since the start.
type pullCounters struct {
	begun, failed, bytes atomic.Uint64
}

// PullStats are pulls from registries since the start: those that shared another's
// count once. Bytes are what registries sent.
type PullStats struct{ Begun, Failed, Bytes uint64 }

// PullStats returns the counters.
func (e *Engine) PullStats() PullStats {
	return PullStats{e.pulled.begun.Load(), e.pulled.failed.Load(), e.pulled.bytes.Load()}
}

// PullImage fetches an image, whatever is here. It is image.Engine's. Errors:
// InvalidArgument (the reference, the registry's no), Unavailable.
func (e *Engine) PullImage(ctx context.Context, ref string, auth *module.Auth, report func(image.Progress)) (module.Image, error) {
	named, err := image.Normalize(ref)
	if err != nil {
		return module.Image{}, err
	}
	record, err := e.pull(ctx, named, auth, false, report)
	if err != nil {
		return module.Image{}, err
	}
	return module.Image{Ref: record.Name, Digest: record.Target.Digest.String()}, nil
}

// fetch is one pull, whoever waits for it: it fetches and unpacks under a lease of the
// image's own, so that a line that breaks costs nothing twice: the next try, also after
// a restart, goes on where this one ended.
func (e *Engine) fetch(ctx context.Context, f *flight) (images.Image, error) {
	ctx = namespaces.WithNamespace(ctx, e.Namespace)
	name := f.named.String()
	log := e.Log.WithField("image", name)
	log.Info("pulling image")
	begun := time.Now()
	resolver := e.resolver(ctx, reference.Domain(f.named), f.auth)
	wait, tries := time.Second, 0
	last := int64(-1)
	for {
		f.progress.phase(image.Resolving)
		im, err := e.fetchOnce(ctx, f, resolver)
		if err == nil {
			if err := e.settleLayers(ctx); err != nil {
				log.WithError(err).Warn("after a power cut the image may not be whole")
			}
			// gofail: var pullBeforeRelease struct{}
			e.giveUpLease(ctx, name)
			got, _ := f.progress.bytes()
			log.Infof("pulled image in %s, %s", time.Since(begun).Round(10*time.Millisecond), amount(got))
			return im.Metadata(), nil
		}
		err = classifyPull(name, err)
		tries++
		e.measure(ctx, f.progress)
		got, _ := f.progress.bytes()
		if got > last && last >= 0 {
			tries, wait = 1, time.Second
		}
		last = got
		if !errdefs.IsUnavailable(err) || !f.insist.Load() || tries >= idleTries || ctx.Err() != nil || isFull(err) {
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

// fetchOnce is one try of a pull, which ends before its lease does: the next goes on with
// what it fetched, under another.
func (e *Engine) fetchOnce(ctx context.Context, f *flight, resolver remotes.Resolver) (client.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, pullLeaseFor/2)
	defer cancel()
	ctx, err := e.leaseFor(ctx, f.named.String())
	if err != nil {
		return nil, classify(err)
	}
	return e.client.Pull(ctx, f.named.String(),
		client.WithResolver(resolver), client.WithPullUnpack, client.WithPullSnapshotter(e.Snapshotter),
		client.WithUnpackOpts([]client.UnpackOpt{client.WithUnpackDuplicationSuppressor(wantingLocks{&e.locks, f.progress})}),
		client.WithDownloadLimiter(semaphore.NewWeighted(maxDownloads)), client.WithPullLabel(labelOwner, owner),
		client.WithImageHandlerWrapper(f.progress.watch),
		client.WithChildLabelMap(images.ChildGCLabelsFilterLayers))
}

// isFull tells a full disk, which waiting does not mend.
func isFull(err error) bool { return strings.Contains(err.Error(), "no space left on device") }
