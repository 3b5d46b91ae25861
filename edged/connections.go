package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// settle bounds the wait of a stop for clients that have connected and not asked yet: those that are about to ask do so within a few milliseconds.
const settle = 500 * time.Millisecond

// connections knows those that are open. It is safe for concurrent use.
type connections struct {
	mu     sync.Mutex
	open   int
	silent map[net.Conn]struct{} // those that have not asked anything yet
	none   chan struct{}         // nil as long as nobody waits; closed when open is 0
}

// change is for http.Server.ConnState.
func (c *connections) change(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateNew {
		if c.silent == nil {
			c.silent = map[net.Conn]struct{}{}
		}
		c.silent[conn] = struct{}{}
		c.open++
		return
	}
	delete(c.silent, conn)
	if state == http.StateClosed || state == http.StateHijacked {
		c.open--
		if c.open == 0 && c.none != nil {
			close(c.none)
			c.none = nil
		}
	}
}

// wait returns when no connection is open, or when ctx ends; then it closes those that are silent still, for which http.Server would wait seconds. It is
// called once nobody accepts connections any more.
func (c *connections) wait(ctx context.Context) {
	c.mu.Lock()
	if c.open == 0 {
		c.mu.Unlock()
		return
	}
	none := make(chan struct{})
	c.none = none
	c.mu.Unlock()
	select {
	case <-none:
		return
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.silent {
		_ = conn.Close()
	}
}
