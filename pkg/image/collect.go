package image

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/docker/go-units"
)

const (
	// passEvery is how often images go for their age.
	passEvery = 24 * time.Hour
	// diskEvery is how often the disk is measured, which costs one system call.
	diskEvery = time.Minute
	// diskRest is the time from a pass that could not bring the disk under its mark to the
	// next: when all that may go has gone, the next minute finds no more.
	diskRest = time.Hour
	// passTimeout bounds a pass; a removal waits for containerd to have freed the space.
	passTimeout = 30 * time.Minute
	// fresh protects an image from a full disk: it was prepared, or asked for by an
	// operator, and is about to be used. It is well over the hour to which uses are noted.
	fresh = 3 * time.Hour
)

// earliest is before the first edged: a time before it was read from a clock that
// nobody had set, as devices without a battery have them after a power cut.
var earliest = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Removed is what went.
type Removed struct {
	Name, Digest string
	// Bytes that it won; 0 when other images or containers have all of it in use.
	Bytes int64
}

// Run removes images as they come to age and as the disk fills, until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	var aged, full time.Time // the last pass for age, and the last one that the disk outdid
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	warned := false
	for {
		if aged.IsZero() || time.Since(aged) >= passEvery {
			if k.logged(k.prune(ctx, false)) {
				aged = time.Now() // else again in a minute: containerd is away
			}
		}
		if full.IsZero() || time.Since(full) >= diskRest {
			stuck, err := k.relieve(ctx)
			if err != nil && !warned && ctx.Err() == nil {
				k.Log.WithError(err).Warn("cannot keep room on the disk of the images")
			}
			warned = err != nil
			if stuck {
				full = time.Now()
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (k *Keeper) logged(_ []Removed, err error) bool {
	if err != nil {
		k.Log.WithError(err).Debug("cannot remove old images, trying again in a minute")
	}
	return err == nil
}

// Prune removes images whose last use is longer ago than Keep, the oldest first; with
// all, every one that nothing keeps. It goes on to its end when ctx ends. Errors:
// Unavailable; what went before one is returned.
func (k *Keeper) Prune(ctx context.Context, all bool) ([]Removed, error) {
	var removed []Removed
	err := k.work.Await(ctx, passTimeout, func(ctx context.Context) (err error) {
		removed, err = k.prune(ctx, all)
		return err
	})
	if ctx.Err() != nil {
		return nil, err // it may still be written to
	}
	return removed, err
}

func (k *Keeper) prune(ctx context.Context, all bool) ([]Removed, error) {
	why := "nothing has used it for long"
	if all {
		why = "somebody asked for it"
	}
	return k.collect(ctx, why, func(e *Entry, now time.Time) (bool, error) {
		return all || now.Sub(e.Used) >= k.Keep, nil
	})
}

// relieve removes images, the oldest first, as long as the disk is over its mark. It
// says whether the disk still is.
func (k *Keeper) relieve(ctx context.Context) (bool, error) {
	over := func() (bool, error) {
		disk, err := k.Engine.ImageDisk(ctx)
		return disk.Percent() >= k.DiskHigh, err
	}
	if is, err := over(); err != nil || !is {
		return false, err
	}
	removed, err := k.collect(ctx, "the disk is full", func(e *Entry, now time.Time) (bool, error) {
		if now.Sub(e.Used) < fresh {
			return false, nil
		}
		return over()
	})
	if err != nil {
		return false, err
	}
	is, err := over()
	if is {
		k.Log.Warnf("the disk of the images is over %d per cent, and %d images went: there is nothing left that may go", k.DiskHigh, len(removed))
	}
	return is, err
}

// collect removes the images that nothing keeps and that go says may go.
func (k *Keeper) collect(ctx context.Context, why string, goes func(*Entry, time.Time) (bool, error)) ([]Removed, error) {
	k.pass.Lock()
	defer k.pass.Unlock()
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	entries, err := k.List(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.tidyUses(ctx, entries); err != nil {
		return nil, err
	}
	now := time.Now()
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.Used.Compare(b.Used) })
	var removed []Removed
	for i := range entries {
		e := &entries[i]
		if e.Kept != "" {
			continue
		}
		if may, err := goes(e, now); err != nil {
			return removed, err
		} else if !may {
			continue
		}
		bytes, gone, err := k.remove(ctx, e)
		if err != nil {
			return removed, err
		}
		if gone {
			removed = append(removed, Removed{e.Name, e.Digest, bytes})
			k.Log.WithField("image", e.Name).Infof("removed image, %s won: %s (last use %s)", units.BytesSize(float64(bytes)), why, e.Used.UTC().Format(time.RFC3339))
		}
	}
	return removed, nil
}

// tidyUses mends notes of uses that no right clock can have written, so that an image
// is not taken for older than it is, and drops those of images that are gone.
func (k *Keeper) tidyUses(ctx context.Context, entries []Entry) error {
	now := time.Now()
	here := make(map[string]bool, len(entries))
	for i := range entries {
		e := &entries[i]
		here[e.Name] = true
		if e.Used.Before(earliest) || e.Used.Sub(now) > time.Hour {
			if err := k.Store.TouchImage(ctx, e.Name, e.Digest); err != nil {
				return err
			}
			e.Used = now
		}
	}
	uses, err := k.Store.ImageUses(ctx)
	if err != nil {
		return err
	}
	for name, used := range uses {
		// One that is being pulled has its note before a list shows it, or the other way round.
		if !here[name] && !k.gate.isHeld(name) && now.Sub(used) > passEvery {
			if err := k.Store.ForgetImage(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove removes one image, unless since the list was made an operation took it or a
// generation came to name it.
func (k *Keeper) remove(ctx context.Context, e *Entry) (bytes int64, gone bool, err error) {
	end, ok := k.gate.begin(e.Name)
	if !ok {
		return 0, false, nil
	}
	defer end()
	named, err := k.Store.NamedImages(ctx)
	if err != nil {
		return 0, false, err
	}
	if len(users(named, &e.Image)) > 0 {
		return 0, false, nil
	}
	bytes, err = k.Engine.RemoveImage(ctx, e.Name, e.Digest)
	if err != nil {
		return 0, false, fmt.Errorf("cannot remove image %s: %w", e.Name, err)
	}
	// gofail: var imageAfterRemove struct{}
	k.removed.Add(1)
	if k.Removed != nil {
		k.Removed()
	}
	k.freed.Add(uint64(max(bytes, 0)))
	// The note goes last: without it an image that is still there would seem older than it is.
	return bytes, true, k.Store.ForgetImage(ctx, e.Name)
}
