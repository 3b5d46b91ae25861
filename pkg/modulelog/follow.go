package modulelog

import (
	"context"
	"slices"
	"time"
)

const (
	// pace is the time between two looks at a log that is being written. The first line after a pause does not wait.
	pace = 20 * time.Millisecond
	// steadyPace is pace once lines have come at steadyAfter looks in a row: waking up is most of what a follower costs.
	steadyPace  = 60 * time.Millisecond
	steadyAfter = 10
	// farewell is how long a follower waits for the loggers to end, once the module has.
	farewell = 2 * time.Second
	// discoverEvery is the number of looks, while lines come, for one that sees new generations as well.
	discoverEvery = 5
	// blindPace is pace where the kernel gives no more inotify watches.
	blindPace = 250 * time.Millisecond
)

// follow writes what comes until it is over. While lines come it looks at the pace; when none came it asks to be woken, looks a
// last time, so that nothing falls between, and waits.
func (r *reader) follow(ctx context.Context, done <-chan struct{}) error {
	sub := r.store.watch.subscribe()
	defer sub.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var deadline time.Time // of the farewell; zero: the module has not ended
	busy := 0              // looks in a row that found something
	for armed := false; ; {
		news, err := r.round(ctx, false)
		if err != nil {
			return err
		}
		if busy++; !news {
			busy = 0
		}
		switch {
		case r.out.over || !r.opt.Until.IsZero() && time.Now().After(r.opt.Until):
			return r.end(ctx)
		case !deadline.IsZero() && (!r.loggersAlive() || time.Now().After(deadline)):
			return r.end(ctx)
		case !news && !armed && deadline.IsZero():
			armed = true
			if r.arm(sub) {
				continue
			}
			timer.Reset(blindPace)
		case news || !deadline.IsZero():
			sub.drain()
			armed = false
			timer.Reset(pace)
			if busy > steadyAfter {
				timer.Reset(steadyPace)
			}
		case r.opt.Until.IsZero():
			timer.Reset(time.Hour)
		default:
			timer.Reset(time.Until(r.opt.Until) + pace)
		}
		woken := sub.woken
		if !armed { // looking at the pace: what wakes is only what ends it
			woken = nil
		} else {
			r.give()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			done = nil
			deadline = time.Now().Add(farewell)
		case <-woken:
		case <-timer.C:
		}
		armed = false
	}
}

// end looks a last time: what the loggers wrote before they ended is there now.
func (r *reader) end(ctx context.Context) error {
	_, err := r.round(ctx, true)
	return err
}

// round writes what has come, and says whether anything did.
func (r *reader) round(ctx context.Context, final bool) (bool, error) {
	r.take()
	news := false
	wide := r.quiet || final || r.rounds%discoverEvery == 0
	if wide {
		came, err := r.discover()
		if err != nil {
			return false, err
		}
		news = came
	}
	r.rounds++
	for _, c := range r.cursors {
		more, err := r.drain(ctx, c, final)
		news = news || more
		if err != nil {
			return news, err
		}
	}
	if wide || !news {
		r.forget()
	}
	if final {
		if err := r.out.finish(); err != nil {
			return news, err
		}
	}
	if err := r.out.flush(); err != nil {
		return news, err
	}
	if f, ok := r.out.w.(interface{ Flush() }); ok && r.out.wrote {
		f.Flush()
	}
	r.out.wrote = false
	r.quiet = !news
	return news, nil
}

// forget drops the generations whose folders were removed: others may come under their numbers.
func (r *reader) forget() {
	r.cursors = slices.DeleteFunc(r.cursors, func(c *cursor) bool {
		gone := removed(int(c.dir.Fd()))
		if gone {
			c.close()
		}
		return gone
	})
}

// loggersAlive says whether any logger of the module may still write.
func (r *reader) loggersAlive() bool {
	return slices.ContainsFunc(r.cursors, func(c *cursor) bool { return lockHeld(c.dir) })
}

// arm asks to be woken at the next change of any folder where lines may come.
func (r *reader) arm(sub *subscription) bool {
	if !sub.arm(r.store.Dir(r.module)) {
		// It may come between the two: then the second try finds it.
		if !sub.armMade(r.store.root) {
			return false
		}
		sub.arm(r.store.Dir(r.module))
	}
	ok := true
	for _, c := range r.cursors {
		ok = sub.arm(r.store.GenerationDir(r.module, c.gen)) && ok
	}
	return ok
}
