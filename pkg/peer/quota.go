package peer

import "sync"

// quota counts the open connections of one listener.
type quota struct {
	limits Limits
	shared bool // else it is a module's own listener

	mu     sync.Mutex
	total  int // without those in the reserve
	kept   int // in the reserve
	perUID map[uint32]int
}

// slot is a place in a quota; it is given back with release.
type slot struct {
	uid  uint32
	kept bool
}

func newQuota(limits Limits, shared bool) *quota {
	return &quota{limits: limits, shared: shared, perUID: make(map[uint32]int)}
}

// take gives a slot, or the reason why there is none.
func (q *quota) take(uid uint32) (slot, string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	most := q.limits.PerUID
	if q.shared {
		most = q.limits.PerListener - q.limits.RootReserve
	}
	if q.total >= most {
		return slot{}, ReasonLimitListener
	}
	if q.shared && q.perUID[uid] >= q.limits.PerUID {
		return slot{}, ReasonLimitUID
	}
	q.total++
	q.perUID[uid]++
	return slot{uid: uid}, ""
}

// takeKept gives a slot of the reserve. The caller has proven that the peer is uid 0 of the host.
func (q *quota) takeKept() (slot, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.shared || q.kept >= q.limits.RootReserve {
		return slot{}, false
	}
	q.kept++
	return slot{kept: true}, true
}

// release gives a slot back, once.
func (q *quota) release(s slot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.kept {
		q.kept--
		return
	}
	q.total--
	if q.perUID[s.uid]--; q.perUID[s.uid] == 0 {
		delete(q.perUID, s.uid)
	}
}
