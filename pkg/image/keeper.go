package image

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/work"
)

// pullTimeout bounds a pull that an operator asked for: a large image over a bad line
// takes hours and loses nothing when it is tried again.
const pullTimeout = 2 * time.Hour

// Config is what a Keeper needs. All fields are required but Protected and Removed.
type Config struct {
	Engine Engine
	Store  Store
	// Keep is how long an image stays after its last use; DiskHigh is the per cent of the
	// disk in use from which on Keep does not protect it.
	Keep     time.Duration
	DiskHigh int
	// Protected are references that the configuration names.
	Protected []string
	// Removed is called when an image is gone; it must not wait.
	Removed func()
	Log     logrus.FieldLogger
}

// Stats counts what a Keeper did since the start.
type Stats struct {
	// Removed images and the bytes that it won.
	Removed, Freed uint64
}

// Keeper owns the device's images. It is safe for concurrent use.
type Keeper struct {
	Config
	gate      *gate
	protected map[string]bool

	work *work.Group // pulls outlive the request that began them

	pass           sync.Mutex // one removal pass at a time
	removed, freed atomic.Uint64
}

// New returns a Keeper that does nothing by itself until Run.
func New(cfg Config) *Keeper {
	k := &Keeper{Config: cfg, gate: newGate(), work: work.NewGroup(context.Background()), protected: map[string]bool{}}
	for _, ref := range cfg.Protected {
		if named, err := Normalize(ref); err == nil {
			k.protected[named.String()] = true
		}
	}
	return k
}

// Close ends pulls and a removal pass under way, and waits for them. What a pull
// has fetched is taken up by the next.
func (k *Keeper) Close() { k.work.Close() }

// Stats returns the counters.
func (k *Keeper) Stats() Stats {
	return Stats{Removed: k.removed.Load(), Freed: k.freed.Load()}
}

// Hold keeps an image from being removed while an operation needs it that no record
// names yet. The operation calls release when one does, or when it has failed.
func (k *Keeper) Hold(ref string) (release func()) {
	if named, err := Normalize(ref); err == nil {
		ref = named.String()
	}
	return k.gate.hold(ref)
}

// List returns all images by name, with who uses them. Errors: Unavailable.
func (k *Keeper) List(ctx context.Context) ([]Entry, error) {
	images, err := k.Engine.Images(ctx)
	if err != nil {
		return nil, err
	}
	named, err := k.Store.NamedImages(ctx)
	if err != nil {
		return nil, err
	}
	uses, err := k.Store.ImageUses(ctx)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(images))
	for i := range images {
		entries = append(entries, k.entry(&images[i], named, uses))
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, nil
}

func (k *Keeper) entry(im *Image, named []Named, uses map[string]time.Time) Entry {
	e := Entry{Image: *im, Used: im.Changed, Modules: users(named, im)}
	if used, ok := uses[im.Name]; ok {
		e.Used = used
	}
	switch {
	case len(e.Modules) > 0:
		e.Kept = KeptModule
	case k.gate.isHeld(im.Name):
		e.Kept = KeptOperation
	case k.protected[im.Name]:
		e.Kept = KeptConfig
	case im.Package:
		e.Kept = KeptPackage
	case strings.HasPrefix(im.Name, LocalPrefix) && !strings.HasPrefix(im.Name, agentPrefix):
		e.Kept = KeptLocal
	case im.Preloaded:
		e.Kept = KeptPreload
	case !im.Owned:
		e.Kept = KeptNotEdged
	}
	return e
}

// Pull fetches an image for nobody in particular: it is then kept for its age. It
// goes on to its end when ctx ends, with nobody to report to. Errors: InvalidArgument
// (the reference, the registry's no), Unavailable.
func (k *Keeper) Pull(ctx context.Context, ref string, auth *module.Auth, report func(Progress)) (module.Image, error) {
	named, err := Normalize(ref)
	if err != nil {
		return module.Image{}, err
	}
	if strings.HasPrefix(named.String(), LocalPrefix) {
		return module.Image{}, fmt.Errorf("cannot pull %s: images under %s are made on the device, no registry has them: %w", named, LocalPrefix, errdefs.ErrInvalidArgument)
	}
	type result struct {
		image module.Image
		err   error
	}
	done := make(chan result, 1)
	latest := make(chan Progress, 1) // the last picture only: a slow client slows no pull
	if !k.work.Go(pullTimeout, func(ctx context.Context) {
		defer k.gate.hold(named.String())()
		image, err := k.Engine.PullImage(ctx, ref, auth, func(p Progress) {
			select {
			case <-latest:
			default:
			}
			latest <- p
		})
		if err == nil {
			err = k.Store.TouchImage(ctx, image.Ref, image.Digest)
		}
		done <- result{image, err}
	}) {
		return module.Image{}, work.ErrStopping
	}
	for {
		select {
		case p := <-latest:
			report(p)
		case r := <-done:
			return r.image, r.err
		case <-ctx.Done():
			return module.Image{}, fmt.Errorf("the client left, the pull goes on: %w", context.Cause(ctx))
		}
	}
}
