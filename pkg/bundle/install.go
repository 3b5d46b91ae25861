package bundle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/content"
	"github.com/edged/edged/pkg/work"
)

// Options of an install.
type Options struct {
	// Start starts the bundles when all are installed.
	Start bool
	// IgnoreChecks takes bundles that are not made for this device's Java or machine.
	IgnoreChecks bool
}

// Install makes what was received bundles of the device, all or none, and starts them if it is
// to. One that is there already under its key is updated. It returns their keys in the order
// in which they came. Errors: InvalidArgument (one of them is no bundle), *Failed,
// Unavailable (among others: they are installed, and there is no framework to start them),
// ResourceExhausted. After an error of a start they are installed all the same.
func (u *Upload) Install(ctx context.Context, opt Options) ([]Key, error) {
	b := u.b
	own := *u
	u.parts, u.release = nil, func() {} // the work's now, which goes on when the client leaves
	var keys []Key
	err := b.work.Await(ctx, operationTimeout, func(ctx context.Context) error {
		defer own.release()
		all, err := own.prepare(ctx)
		if err != nil {
			return err
		}
		defer abortAll(all) // after a commit it does nothing
		if err := b.take(ctx); err != nil {
			return err
		}
		defer b.giveBack()
		rows, err := b.install(ctx, all, opt)
		if err != nil {
			return err
		}
		if opt.Start {
			if err := b.startAll(ctx, rows); err != nil {
				return err
			}
		}
		for _, r := range rows {
			keys = append(keys, r.Key)
		}
		return nil
	})
	if errors.Is(err, work.ErrStopping) {
		own.Abort()
	}
	if content.Full(err) {
		err = fmt.Errorf("%w: %w", err, errdefs.ErrResourceExhausted)
	}
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// install brings bundles into the store and the framework. With an error all is as it was.
// The caller has the turn.
func (b *Bundles) install(ctx context.Context, all []*prepared, opt Options) ([]*Record, error) {
	// The framework first: a device whose framework is away changes nothing.
	running, err := b.frameworkIfWanted(ctx)
	if err != nil {
		return nil, err
	}
	checkFor := func(s *session) error {
		if opt.IgnoreChecks {
			return nil
		}
		return check(all, s)
	}
	if err := checkFor(running); err != nil {
		return nil, err
	}
	olds, rows, err := b.place(all)
	if err != nil {
		return nil, err
	}
	if err := b.commit(ctx, all, rows); err != nil {
		return nil, err
	}
	// gofail: var bundleInstallAfterRows struct{}
	if err := b.load(ctx, rows, olds, checkFor); err != nil {
		b.undo(ctx, rows, olds)
		return nil, failed("installing", "", err)
	}
	// gofail: var bundleInstallAfterFramework struct{}
	var replaced []*Record
	for _, old := range olds {
		if old != nil {
			replaced = append(replaced, old)
		}
	}
	if err := b.Content.Drop(ctx, digests(replaced)...); err != nil {
		b.Log.WithError(err).Warn("cannot remove the bytes that bundles had before; the next start will")
	}
	for _, r := range rows {
		b.Log.WithField("bundle", r.Key).Infof("installed a bundle of %d bytes", r.Size)
	}
	return rows, b.after(ctx, nil)
}

// check refuses what is sound and not for this device.
func check(all []*prepared, s *session) error {
	level := 0
	if s != nil {
		level = s.JavaLevel()
	}
	for _, p := range all {
		if err := p.says.Check(level); err != nil {
			return fmt.Errorf("Unable to install module. Cause: %s: %w (ignoreChecks=true takes it all the same)", p.row.Key, err) //nolint:staticcheck // the contract's text
		}
	}
	return nil
}

// place makes the rows of new bundles, beside those that are there under their keys.
func (b *Bundles) place(all []*prepared) (olds, rows []*Record, err error) {
	now := time.Now().UTC()
	there := b.current()
	for _, p := range all {
		r := p.row
		r.Installed, r.Updated = now, now
		old := there.byID[r.unique()]
		if old != nil && old.Key != r.Key {
			// What frameworks say; with its group it would be two bundles of one name and version.
			return nil, nil, &Failed{Verb: "installing", Cause: &Refused{
				Class: "org.osgi.framework.BundleException", Type: duplicateBundle,
				Text: fmt.Sprintf("A bundle is already installed with the name %q and version %q", r.Name, r.Version),
			}}
		}
		if old != nil {
			r.Installed, r.Started, r.Sequence = old.Installed, old.Started, old.Sequence
		} else {
			b.sequence++
			r.Sequence = b.sequence
		}
		olds, rows = append(olds, old), append(rows, &r)
	}
	return olds, rows, nil
}

// duplicateBundle is BundleException.DUPLICATE_BUNDLE_ERROR.
const duplicateBundle = 9

// commit brings bytes and rows to the disk.
func (b *Bundles) commit(ctx context.Context, all []*prepared, rows []*Record) error {
	b.Content.Keep(digests(rows)...)
	var err error
	for _, p := range all {
		if err = p.staged.Commit(ctx); err != nil {
			break
		}
	}
	// gofail: var bundleInstallAfterBlobs struct{}
	if err == nil {
		err = b.save(ctx, rows)
	}
	if err != nil {
		return errors.Join(err, b.Content.Drop(context.WithoutCancel(ctx), digests(rows)...))
	}
	return nil
}

// load gives the framework, if there is one, bundles that are in the store.
func (b *Bundles) load(ctx context.Context, rows, olds []*Record, check func(*session) error) error {
	// On a device that had no bundles it is to come up now, and then has them.
	s, err := b.framework(ctx)
	if s == nil || err != nil {
		return err
	}
	if err := check(s); err != nil {
		return err // of its Java nobody knew before
	}
	for i, r := range rows {
		if olds[i] == nil {
			// One that it refused when it came up with it is asked for again, for its reason.
			if _, err := b.ensure(ctx, s, r); err != nil {
				return err
			}
			continue
		}
		if err := b.renew(ctx, s, r); err != nil {
			return err
		}
	}
	return b.startPending(ctx, s)
}

// undo takes back what was done for an install that is not to be. The framework is brought
// back when there is time; else Run does it, or the next start.
func (b *Bundles) undo(ctx context.Context, rows, olds []*Record) {
	var put []*Record
	var remove []Key
	for i, r := range rows {
		if olds[i] != nil {
			put = append(put, olds[i])
		} else {
			remove = append(remove, r.Key)
		}
	}
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	err := b.save(saving, put, remove...)
	if err == nil {
		err = b.Content.Drop(saving, digests(rows)...)
	}
	b.mu.Lock()
	s := b.session
	b.mu.Unlock()
	if s != nil && err == nil {
		for i, r := range rows {
			err = errors.Join(err, b.takeBack(ctx, s, r, olds[i]))
		}
		err = errors.Join(err, refresh(ctx, s), b.startPending(ctx, s))
	}
	if err != nil {
		b.Log.WithError(err).Warn("cannot undo an install of bundles; the framework is brought to what is remembered later")
		b.unsettle(s)
	}
}

// takeBack makes the framework have what it had of a bundle: old, or nothing.
func (b *Bundles) takeBack(ctx context.Context, s *session, r, old *Record) error {
	a, ok := s.Picture().ByLocation[r.Location()]
	switch {
	case !ok:
		return nil
	case old == nil:
		return b.uninstall(ctx, s, a.ID)
	case a.Digest != old.Digest.String():
		return b.renew(ctx, s, old)
	}
	return nil
}
