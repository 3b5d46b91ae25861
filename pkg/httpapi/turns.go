package httpapi

import (
	"net/http"
	"sync"
	"time"

	"github.com/edged/edged/pkg/peer"
)

// turnsAtOnce is how many requests of one module are worked on at once. It is more
// than a device has processors to spare for one module, and few enough that a request of
// another never waits behind a crowd.
const turnsAtOnce = 4

// A module with more than crowd requests under way is a crowd, whose turns are handed
// on only after pause. Without it one request readies the next, edged's threads always
// have one at hand, and Go's scheduler looks for what arrives from others only every
// 10 ms: with the pause they run dry and look. It bounds a crowd to turnsAtOnce/pause,
// five hundred requests a second, which leaves others the processors too.
const (
	crowd = 8
	pause = 8 * time.Millisecond
)

// InTurn serves the requests of each module a few at a time, so that one which asks
// without end makes its own requests wait and nobody else's. It is for APIs whose
// answers are quick: one that takes long keeps a turn for as long.
func InTurn(h http.Handler) http.Handler {
	t := &turns{of: map[string]*queue{}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := peer.PresumedFromContext(r.Context()) // who it is is decided after the wait
		name := caller.Module()
		if err != nil || name == "" {
			h.ServeHTTP(w, r) // hosts' users are few, and whoever is unknown is refused
			return
		}
		q := t.join(name)
		defer t.leave(name, q)
		select {
		case q.turn <- struct{}{}:
			defer t.pass(q)
			h.ServeHTTP(w, r)
		case <-r.Context().Done(): // the client left
		}
	})
}

// turns has a queue of each module that asks at the moment.
type turns struct {
	mu sync.Mutex
	of map[string]*queue
}

type queue struct {
	turn   chan struct{}
	people int // in the queue and at work
}

func (t *turns) join(name string) *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.of[name]
	if q == nil {
		q = &queue{turn: make(chan struct{}, turnsAtOnce)}
		t.of[name] = q
	}
	q.people++
	return q
}

// pass gives a turn back, at once or, in a crowd, after the pause.
func (t *turns) pass(q *queue) {
	t.mu.Lock()
	crowded := q.people > crowd
	t.mu.Unlock()
	if crowded {
		time.AfterFunc(pause, func() { <-q.turn })
		return
	}
	<-q.turn
}

func (t *turns) leave(name string, q *queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.people--; q.people == 0 {
		delete(t.of, name)
	}
}
