// Package work gives work that an accepted request began an owner: it goes on when its
// client leaves, has a deadline of its own, and is waited for when edged stops.
package work

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/errdefs"
)

// ErrStopping is of work that came after Close; its class is errdefs.Unavailable.
var ErrStopping = fmt.Errorf("edged is stopping: %w", errdefs.ErrUnavailable)

// Lasting is the context of a write that was accepted and is short enough for its request to
// wait for: it has the values of ctx and not its end, and a deadline of its own.
func Lasting(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}

// Group owns work. It is safe for concurrent use.
type Group struct {
	ctx  context.Context //nolint:containedctx // it is what the work lives by, and outlives requests
	stop context.CancelFunc

	mu sync.Mutex // begin of work against Close
	wg sync.WaitGroup
}

// NewGroup returns a group whose work has the values of ctx, and not its end.
func NewGroup(ctx context.Context) *Group {
	g := new(Group)
	g.ctx, g.stop = context.WithCancel(context.WithoutCancel(ctx))
	return g
}

// Close ends all work and waits for it.
func (g *Group) Close() {
	g.mu.Lock()
	g.stop()
	g.mu.Unlock()
	g.wg.Wait()
}

// Closed says that Close was called.
func (g *Group) Closed() bool { return g.ctx.Err() != nil }

// Go runs f with a deadline; false when Close was called already.
func (g *Group) Go(timeout time.Duration, f func(ctx context.Context)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() != nil {
		return false
	}
	g.wg.Go(func() {
		ctx, cancel := context.WithTimeout(g.ctx, timeout)
		defer cancel()
		f(ctx)
	})
	return true
}

// Await runs f to its end, and waits for it as long as the client does. Errors: f's own,
// ErrStopping, and the context's when the client left.
func (g *Group) Await(ctx context.Context, timeout time.Duration, f func(ctx context.Context) error) error {
	done := make(chan error, 1)
	if !g.Go(timeout, func(ctx context.Context) { done <- f(ctx) }) {
		return ErrStopping
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the client left, the work goes on: %w", context.Cause(ctx))
	}
}
