package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"golang.org/x/sync/semaphore"

	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/module"
)

// flights are the pulls under way. Who asks for the same image with the same
// credentials waits for the same pull; it ends when nobody waits any more. Other
// credentials are another pull: a wrong password fails nobody else, and a right one
// opens nothing for others.
type flights struct {
	ctx  context.Context //nolint:containedctx // of all pulls, which belong to no single caller
	stop context.CancelFunc
	wg   sync.WaitGroup
	room *semaphore.Weighted

	mu    sync.Mutex
	byKey map[flightKey]*flight
	names map[string]int
}

type flightKey struct {
	name string
	auth module.Auth
}

// flight is one pull. Its result is there when done is closed.
type flight struct {
	named    reference.Named
	auth     *module.Auth
	progress *progress
	// insist says that somebody has nothing to run without it: then it is tried again.
	insist  atomic.Bool
	waiters int
	cancel  context.CancelFunc

	done  chan struct{}
	image images.Image
	err   error
}

func (fs *flights) init() {
	fs.ctx, fs.stop = context.WithCancel(context.Background())
	fs.room = semaphore.NewWeighted(maxPulls)
	fs.byKey, fs.names = map[flightKey]*flight{}, map[string]int{}
}

func (fs *flights) close() {
	fs.mu.Lock()
	fs.stop()
	fs.mu.Unlock()
	fs.wg.Wait()
}

// alone says that a name is pulled only once at the moment.
func (fs *flights) alone(name string) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.names[name] <= 1
}

// pull waits for the pull of an image, which it begins unless it is under way.
// fallback says that there is something to run without it, so that one try is enough.
func (e *Engine) pull(ctx context.Context, named reference.Named, auth *module.Auth, fallback bool, report func(image.Progress)) (images.Image, error) {
	f, leave, err := e.join(named, auth)
	if err != nil {
		return images.Image{}, err
	}
	defer leave()
	if !fallback {
		f.insist.Store(true)
	}
	for {
		var changed <-chan struct{}
		if report != nil {
			var now image.Progress
			now, changed = f.progress.look()
			report(now)
		}
		select {
		case <-f.done:
			return f.image, f.err
		case <-ctx.Done():
			return images.Image{}, classifyPull(named.String(), ctx.Err())
		case <-changed:
		}
	}
}

// join finds the pull of an image, or begins it.
func (e *Engine) join(named reference.Named, auth *module.Auth) (*flight, func(), error) {
	fs := &e.flights
	key := flightKey{name: named.String()}
	if auth != nil {
		key.auth = *auth
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.ctx.Err() != nil {
		return nil, nil, fmt.Errorf("edged is stopping: %w", errdefs.ErrUnavailable)
	}
	f := fs.byKey[key]
	if f == nil {
		f = &flight{named: named, auth: auth, progress: newProgress(), done: make(chan struct{})}
		var ctx context.Context
		ctx, f.cancel = context.WithCancel(fs.ctx)
		fs.byKey[key] = f
		fs.names[key.name]++
		fs.wg.Go(func() { e.fly(ctx, key, f) })
	}
	f.waiters++
	return f, func() {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		if f.waiters--; f.waiters == 0 {
			f.cancel()
			if fs.byKey[key] == f {
				delete(fs.byKey, key) // who comes now begins anew, where this one ended
			}
		}
	}, nil
}

// fly runs a pull to its end.
func (e *Engine) fly(ctx context.Context, key flightKey, f *flight) {
	fs := &e.flights
	defer func() {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		f.cancel()
		if fs.byKey[key] == f {
			delete(fs.byKey, key)
		}
		if fs.names[key.name]--; fs.names[key.name] == 0 {
			delete(fs.names, key.name)
		}
		close(f.done)
	}()
	if err := fs.room.Acquire(ctx, 1); err != nil {
		f.err = classifyPull(key.name, err)
		return
	}
	defer fs.room.Release(1)
	e.pulled.begun.Add(1)
	var followed sync.WaitGroup
	following, end := context.WithCancel(ctx)
	followed.Go(func() { e.follow(following, f) })
	f.image, f.err = e.fetch(ctx, f)
	end()
	followed.Wait()
	if f.err != nil {
		e.pulled.failed.Add(1)
	}
}

// keyedLocks lets one pull fetch or unpack what others wait for. It is containerd's
// unpack.KeyedLocker.
type keyedLocks struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	turn  chan struct{} // full while somebody has the lock
	users int
}

// Lock waits for the key.
func (k *keyedLocks) Lock(ctx context.Context, key string) error {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*keyedLock{}
	}
	l := k.locks[key]
	if l == nil {
		l = &keyedLock{turn: make(chan struct{}, 1)}
		k.locks[key] = l
	}
	l.users++
	k.mu.Unlock()
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		k.leave(key, l)
		return ctx.Err()
	}
}

// Unlock lets the next one in.
func (k *keyedLocks) Unlock(key string) {
	k.mu.Lock()
	l := k.locks[key]
	k.mu.Unlock()
	<-l.turn
	k.leave(key, l)
}

func (k *keyedLocks) leave(key string, l *keyedLock) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(k.locks, key)
	}
}
