package peer

import (
	"context"
	"fmt"
	"net"

	"github.com/containerd/errdefs"
)

type contextKey struct{}

// identity is what a context holds: a connection to ask, or a caller that was put there.
type identity struct {
	conn   *Conn
	caller Caller
}

// ConnContext is for http.Server: it lays the connection of a listener of this package into the context of its requests, also from below wrappers that have a
// method NetConn() net.Conn, as tls.Conn has. Another connection leaves the context as it is, and FromContext then fails.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	for range 8 { // wrappers of wrappers end somewhere
		switch conn := c.(type) {
		case *Conn:
			return context.WithValue(ctx, contextKey{}, &identity{conn: conn})
		case interface{ NetConn() net.Conn }:
			c = conn.NetConn()
		default:
			return ctx
		}
	}
	return ctx
}

// NewContext returns a context with a caller that was decided elsewhere: for tests of handlers.
func NewContext(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, contextKey{}, &identity{caller: caller})
}

// FromContext says who makes the request, as Conn.Caller does: ask once for each request. Unknown comes with its reason and without an error. A context
// without a connection or caller is errdefs.ErrInternal, and never a caller.
func FromContext(ctx context.Context) (Caller, error) {
	return fromContext(ctx, (*Conn).Caller)
}

// PresumedFromContext is Conn.Presumed of the request's connection, with the errors of FromContext.
func PresumedFromContext(ctx context.Context) (Caller, error) {
	return fromContext(ctx, (*Conn).Presumed)
}

func fromContext(ctx context.Context, ask func(*Conn, context.Context) (Caller, error)) (Caller, error) {
	id, ok := ctx.Value(contextKey{}).(*identity)
	switch {
	case !ok:
		return Caller{}, fmt.Errorf("cannot tell caller: no connection in the context: %w", errdefs.ErrInternal)
	case id.conn == nil:
		return id.caller, nil
	}
	caller, err := ask(id.conn, ctx)
	if err != nil {
		return Caller{}, fmt.Errorf("cannot tell caller: %w", err)
	}
	return caller, nil
}

// CloseAfter says whether the connection must be closed after the answer, "Connection: close": its caller was found Unknown, or is no longer who it was. On a
// connection that is kept, a client whose process was replaced would be refused for ever.
func CloseAfter(ctx context.Context) bool {
	id, ok := ctx.Value(contextKey{}).(*identity)
	return ok && id.conn != nil && id.conn.refused.Load()
}
