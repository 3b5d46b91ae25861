package module

import "time"

// Back-off between restarts, as Docker's: doubling from 100 ms to a minute, and
// from the start again once a run lasted ten seconds.
const (
	backoffFirst = 100 * time.Millisecond
	backoffMax   = time.Minute
	backoffReset = 10 * time.Second
)

// Wants says whether a module whose run ended by itself is to be started again.
// restarts is how often the policy has done so since the last wish. A lost exit
// code counts as a failure: better one start too many than a module that stays down.
func (p RestartPolicy) Wants(exit *Exit, restarts int) bool {
	switch p.Name {
	case "always", "unless-stopped", "on-unhealthy":
		return true
	case "on-failure":
		failed := exit.Lost || exit.Code != 0
		return failed && (p.MaxRetries == 0 || restarts < p.MaxRetries)
	}
	return false
}

// restartsUnhealthy says whether a failing health check ends a run.
func (p RestartPolicy) restartsUnhealthy() bool { return p.Name == "on-unhealthy" }

// backoff is the wait before the next restart of one module.
type backoff struct{ next time.Duration }

// after returns how long to wait when the last run lasted ran.
func (b *backoff) after(ran time.Duration) time.Duration {
	if b.next == 0 || ran >= backoffReset {
		b.next = backoffFirst
	}
	d := b.next
	b.next = min(2*b.next, backoffMax)
	return d
}

func (b *backoff) reset() { b.next = 0 }
