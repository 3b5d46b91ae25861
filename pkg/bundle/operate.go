package bundle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
)

// The operations. A key may be a bundle's, a name with a version, or a name that only one
// bundle has. Errors: InvalidArgument (no key), NotFound, *Failed (the framework said no),
// Unavailable.

// operate finds a bundle when its turn has come, and does something with it.
func (b *Bundles) operate(ctx context.Context, verb, key string, f func(ctx context.Context, r *Record) error) (Key, error) {
	if strings.TrimSpace(key) == "" {
		return Key{}, fmt.Errorf("Bundle key is mandatory for %s operation.: %w", verb, errdefs.ErrInvalidArgument) //nolint:staticcheck // the contract's text
	}
	if _, err := b.find(key); err != nil {
		return Key{}, err // before anybody waits
	}
	var done Key
	err := b.change(ctx, func(ctx context.Context) error {
		r, err := b.find(key)
		if err != nil {
			return err
		}
		done = r.Key
		return f(ctx, r)
	})
	if err != nil {
		return Key{}, err
	}
	return done, nil
}

// Start starts a bundle, again when it runs, in place of other versions of it. It is started
// whenever the framework is from then on, also when it cannot be now. Without a framework on
// the device that is remembered, and the error is Unavailable.
func (b *Bundles) Start(ctx context.Context, key string) (Key, error) {
	return b.operate(ctx, "start", key, func(ctx context.Context, r *Record) error {
		return b.startAll(ctx, []*Record{r})
	})
}

// startAll starts bundles in their order, each in place of its other versions. All are tried;
// the error is the first. The caller has the turn.
func (b *Bundles) startAll(ctx context.Context, wanted []*Record) error {
	b.forgive(wanted)
	s, err := b.framework(ctx)
	if err != nil {
		return err
	}
	if wanted, err = b.wish(ctx, wanted); err != nil {
		return err
	}
	if s == nil {
		return b.after(ctx, errNoHost)
	}
	// gofail: var bundleStartAfterWish struct{}
	var tried []*Record
	failures := map[*Record]error{}
	for _, r := range wanted {
		err := b.startOne(ctx, s, r)
		switch {
		case err == nil:
			// It may be what those before it miss, so they are tried again.
			tried = slices.DeleteFunc(tried, func(t *Record) bool { return failures[t] != nil })
		case s.ended() || ctx.Err() != nil:
			return err
		default:
			failures[r] = failed("starting", r.Key.String(), err)
		}
		tried = append(tried, r)
	}
	if err := b.startPending(ctx, s, tried...); err != nil {
		return err
	}
	for _, r := range wanted {
		again := !slices.Contains(tried, r)
		if failures[r] != nil && (!again || !s.Picture().ByLocation[r.Location()].State.runs()) {
			return b.after(ctx, failures[r])
		}
	}
	return b.after(ctx, nil)
}

// wish writes that bundles are to be started, and other versions of them are not. Fragments
// are never: the framework says so to who tries. It returns the rows as they are then.
func (b *Bundles) wish(ctx context.Context, wanted []*Record) ([]*Record, error) {
	var put, now []*Record
	for i, r := range wanted {
		if !r.fragment() && slices.ContainsFunc(wanted[i+1:], func(w *Record) bool { return w.Name == r.Name }) {
			continue // the last version takes the place of the others
		}
		if !r.fragment() && !r.Started {
			is := *r
			is.Started = true
			r = &is
			put = append(put, r)
		}
		now = append(now, r)
	}
	for _, r := range b.current().all {
		if r.Started && slices.ContainsFunc(now, func(w *Record) bool { return w.Name == r.Name && !w.fragment() && w.Key != r.Key }) {
			is := *r
			is.Started = false
			put = append(put, &is)
		}
	}
	if len(put) == 0 {
		return now, nil
	}
	return now, b.save(ctx, put)
}

// startOne stops a bundle and its other versions, and starts it.
func (b *Bundles) startOne(ctx context.Context, s *session, r *Record) error {
	a, err := b.actual(ctx, s, r)
	if err != nil {
		return err
	}
	if a.State.runs() && !a.Fragment {
		if err := b.stop(ctx, s, a.ID, true); err != nil && s.ended() {
			return err // that its activator throws keeps it from nothing
		}
	}
	var others []int64
	for _, o := range b.current().all {
		other, ok := s.Picture().ByLocation[o.Location()]
		if o.Name != r.Name || o.Key == r.Key || !ok || r.fragment() {
			continue
		}
		if other.State.runs() {
			if err := b.tolerate(ctx, s, o, "cannot stop another version of", b.stop(ctx, s, other.ID, false)); err != nil {
				return err
			}
		}
		if other.State != Installed {
			others = append(others, other.ID)
		}
	}
	if len(others) > 0 {
		if err := refresh(ctx, s, others...); err != nil {
			return err
		}
	}
	if err := setStartLevel(ctx, s, a, bundleLevel); err != nil {
		return err
	}
	return b.start(ctx, s, a.ID)
}

// actual is a bundle as the framework has it. One that it refused when it came up is given to
// it again, for its reason.
func (b *Bundles) actual(ctx context.Context, s *session, r *Record) (Actual, error) {
	if a, ok := s.Picture().ByLocation[r.Location()]; ok {
		return a, nil
	}
	if err := b.give(ctx, s, r, nil); err != nil {
		return Actual{}, err
	}
	if a, ok := s.Picture().ByLocation[r.Location()]; ok {
		return a, nil
	}
	return Actual{}, fmt.Errorf("the framework does not have bundle %s: %w", r.Key, errdefs.ErrUnavailable)
}

// after is what every change ends with: what is so now is stored, to be restored.
func (b *Bundles) after(ctx context.Context, err error) error {
	b.mu.Lock()
	s := b.session
	b.mu.Unlock()
	if s != nil {
		b.noteResolved(s)
	}
	if stored := b.storeStates(ctx); stored != nil && err == nil {
		b.Log.WithError(stored).Warn("cannot store the states of bundles")
	}
	return err
}

// Stop stops a bundle, for good.
func (b *Bundles) Stop(ctx context.Context, key string) (Key, error) {
	return b.operate(ctx, "stop", key, func(ctx context.Context, r *Record) error {
		s, err := b.framework(ctx)
		if err != nil {
			return err
		}
		if r.Started {
			is := *r
			is.Started = false
			if err := b.save(ctx, []*Record{&is}); err != nil {
				return err
			}
		}
		if s != nil {
			// gofail: var bundleStopAfterWish struct{}
			a, err := b.actual(ctx, s, r)
			if err == nil {
				err = b.stop(ctx, s, a.ID, false)
			}
			if err != nil && b.hangs(s, r) {
				s, err = b.park(ctx, s, r)
			}
			if err != nil {
				return b.after(ctx, failed("stopping", r.Key.String(), err))
			}
			if err := b.startPending(ctx, s); err != nil {
				return err
			}
		}
		return b.after(ctx, nil)
	})
}

// Uninstall removes a bundle, and makes those that use it anew without it.
func (b *Bundles) Uninstall(ctx context.Context, key string) (Key, error) {
	return b.operate(ctx, "uninstall", key, func(ctx context.Context, r *Record) error {
		s, err := b.framework(ctx)
		if err != nil {
			return err
		}
		if s != nil {
			if a, ok := s.Picture().ByLocation[r.Location()]; ok {
				err := b.uninstall(ctx, s, a.ID)
				if err != nil && b.hangs(s, r) {
					if s, err = b.park(ctx, s, r); err == nil {
						err = b.uninstall(ctx, s, s.Picture().ByLocation[r.Location()].ID)
					}
				}
				if err != nil {
					return failed("uninstalling", r.Key.String(), err)
				}
			}
		}
		// gofail: var bundleUninstallBeforeRow struct{}
		if err := b.save(ctx, nil, r.Key); err != nil {
			b.unsettle(s) // it is remembered, so the framework gets it again
			return err
		}
		if err := b.Content.Drop(ctx, r.Digest); err != nil {
			b.Log.WithError(err).WithField("bundle", r.Key).Warn("cannot remove the bytes of a bundle; the next start will")
		}
		b.Log.WithField("bundle", r.Key).Info("removed a bundle")
		if s != nil {
			if err := refresh(ctx, s); err != nil {
				return b.after(ctx, failed("uninstalling", r.Key.String(), err))
			}
			if err := b.startPending(ctx, s); err != nil {
				return err
			}
		}
		return b.after(ctx, nil)
	})
}

// Refresh makes a bundle, and those that use it, anew of what there is. Without a framework
// there is nothing to do.
func (b *Bundles) Refresh(ctx context.Context, key string) (Key, error) {
	return b.operate(ctx, "refresh", key, func(ctx context.Context, r *Record) error {
		s, err := b.framework(ctx)
		if s == nil || err != nil {
			return err
		}
		a, err := b.actual(ctx, s, r)
		if err == nil {
			err = refresh(ctx, s, a.ID)
		}
		if err != nil {
			return failed("refreshing", r.Key.String(), err)
		}
		return b.startPending(ctx, s)
	})
}

// Update gives the framework the bytes of a bundle again. Without a framework there is nothing
// to do.
func (b *Bundles) Update(ctx context.Context, key string) (Key, error) {
	return b.operate(ctx, "update", key, func(ctx context.Context, r *Record) error {
		s, err := b.framework(ctx)
		if s == nil || err != nil {
			return err
		}
		if err := b.renew(ctx, s, r); err != nil {
			return b.after(ctx, failed("updating", r.Key.String(), err))
		}
		if err := b.startPending(ctx, s); err != nil {
			return err
		}
		return b.after(ctx, nil)
	})
}

// renew gives a bundle that is there its bytes, new or the same. What uses it is made anew.
func (b *Bundles) renew(ctx context.Context, s *session, r *Record) error {
	a, err := b.actual(ctx, s, r)
	if err != nil {
		return err
	}
	users, err := s.Users(ctx, a.ID)
	if err != nil {
		return err
	}
	ran := a.State.runs()
	if ran && len(users) > 0 {
		if err := b.stop(ctx, s, a.ID, true); err != nil && s.ended() {
			return err
		}
	}
	if err := b.give(ctx, s, r, &a); err != nil {
		return errors.Join(err, b.resume(ctx, s, a, ran))
	}
	b.mu.Lock()
	s.updated[r.Location()] = true
	b.mu.Unlock()
	if len(users) > 0 {
		closure, err := s.Closure(ctx, a.ID)
		if err != nil {
			return err
		}
		if err := refresh(ctx, s, closure...); err != nil {
			return err
		}
	}
	return b.resume(ctx, s, a, ran)
}

// resume starts a bundle that ran and does not.
func (b *Bundles) resume(ctx context.Context, s *session, was Actual, ran bool) error {
	if now, ok := s.Picture().ByLocation[was.Location]; !ran || !ok || now.State.runs() {
		return nil
	}
	return b.start(ctx, s, was.ID)
}
