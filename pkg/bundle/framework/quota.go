package framework

import "time"

// A bundle can make the framework report trouble without end, and connect without end; the
// container's own log has all that is trouble, within its own bounds.
const (
	troubles      = 20
	troubleWindow = time.Minute
)

// quota lets so many lines through in a window.
type quota struct {
	since time.Time
	count int
}

func (q *quota) allow(now time.Time) bool {
	if now.Sub(q.since) > troubleWindow {
		q.since, q.count = now, 0
	}
	q.count++
	return q.count <= troubles
}
