package peer

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// Stats is what has happened since New. Slices are sorted.
type Stats struct {
	Connections []ConnectionStat
	Rejects     []RejectStat
}

// ConnectionStat counts the connections that the listeners of one name took.
type ConnectionStat struct {
	Listener string // Scope.Name
	Proof    Proof
	Accepted uint64
	Open     int64 // now
}

// RejectStat counts the connections that were closed at accept and those whose caller was found Unknown, once each.
type RejectStat struct {
	Listener string // Scope.Name
	Reason   string // one of the Reason constants or errno_*
	Count    uint64
}

// counters count without locks; keys are few: names, and reasons by errno.
type counters struct {
	conns   sync.Map // string -> *connCount
	rejects sync.Map // rejectKey -> *atomic.Uint64
}

type connCount struct {
	accepted atomic.Uint64
	open     atomic.Int64
}

type rejectKey struct{ listener, reason string }

func (c *counters) conn(listener string) *connCount {
	v, _ := c.conns.LoadOrStore(listener, new(connCount))
	return v.(*connCount)
}

func (c *counters) reject(listener, reason string) {
	key := rejectKey{listener, reason}
	v, ok := c.rejects.Load(key)
	if !ok {
		v, _ = c.rejects.LoadOrStore(key, new(atomic.Uint64))
	}
	v.(*atomic.Uint64).Add(1)
}

// Stats returns the counters.
func (p *Peers) Stats() Stats {
	var s Stats
	p.counters.conns.Range(func(name, v any) bool {
		n := v.(*connCount)
		s.Connections = append(s.Connections, ConnectionStat{Listener: name.(string), Proof: p.proof, Accepted: n.accepted.Load(), Open: n.open.Load()})
		return true
	})
	p.counters.rejects.Range(func(k, v any) bool {
		key := k.(rejectKey)
		s.Rejects = append(s.Rejects, RejectStat{Listener: key.listener, Reason: key.reason, Count: v.(*atomic.Uint64).Load()})
		return true
	})
	slices.SortFunc(s.Connections, func(a, b ConnectionStat) int { return cmp.Compare(a.Listener, b.Listener) })
	slices.SortFunc(s.Rejects, func(a, b RejectStat) int {
		return cmp.Or(cmp.Compare(a.Listener, b.Listener), cmp.Compare(a.Reason, b.Reason))
	})
	return s
}
