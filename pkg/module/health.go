package module

import (
	"fmt"
	"slices"
	"time"
)

// HealthStatus is what a module's health checks say of its current run.
type HealthStatus string

// The words for it, which are Docker's.
const (
	Starting  HealthStatus = "starting"
	Healthy   HealthStatus = "healthy"
	Unhealthy HealthStatus = "unhealthy"
)

// maxChecks is how many outcomes are kept, as Docker does.
const maxChecks = 5

// CheckResult is the outcome of one health check.
type CheckResult struct {
	Begin, End time.Time
	Probed
}

// Health is what is known of one run's health.
type Health struct {
	Status HealthStatus
	// Streak counts the failures since the last success that count.
	Streak int
	// Checks are the last outcomes, the newest last.
	Checks []CheckResult
}

// health is the Health of a run that goes on. It belongs to the worker.
type health struct {
	Health
	check HealthCheck
	began time.Time
}

func newHealth(check *HealthCheck, began time.Time) *health {
	return &health{check: *check, began: began, Health: Health{Status: Starting}}
}

// note takes the outcome of a check into account. Docker's rule: one success makes it
// healthy; failures of a module that is still starting do not count.
func (h *health) note(r CheckResult) {
	h.Checks = append(h.Checks, r)
	if len(h.Checks) > maxChecks {
		h.Checks = slices.Clone(h.Checks[len(h.Checks)-maxChecks:])
	}
	switch {
	case r.Code == 0:
		h.Status, h.Streak = Healthy, 0
	case h.starts(r.Begin):
	default:
		if h.Streak++; h.Streak >= h.check.Retries {
			h.Status = Unhealthy
		}
	}
}

// starts says whether a module may still fail. A clock that was set back gives it no
// more time.
func (h *health) starts(at time.Time) bool {
	ran := at.Sub(h.began)
	return h.Status == Starting && ran >= 0 && ran < h.check.StartPeriod
}

// wait is how long to wait before the next check.
func (h *health) wait(now time.Time) time.Duration {
	if h.starts(now) {
		return h.check.StartInterval
	}
	return h.check.Interval
}

// words are what a status says beside "running". What a check printed is not in it:
// other modules may read it.
func (h *health) words() string {
	switch {
	case h == nil:
		return ""
	case h.Status == Starting:
		return " (health: starting)"
	case h.Status == Healthy:
		return " (healthy)"
	}
	last := &h.Checks[len(h.Checks)-1]
	switch {
	case last.TimedOut:
		return fmt.Sprintf(" (unhealthy: the check took longer than %s)", h.check.Timeout)
	case last.Code < 0:
		return " (unhealthy: the check cannot be run)"
	}
	return fmt.Sprintf(" (unhealthy: the check ended with exit code %d)", last.Code)
}

// picture is what readers see.
func (h *health) picture() *Health {
	if h == nil {
		return nil
	}
	p := h.Health
	p.Checks = slices.Clone(p.Checks)
	return &p
}
