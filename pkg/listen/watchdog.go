package listen

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// WatchdogInterval is how often Watchdog speaks: half of WatchdogSec=, as
// sd_watchdog_enabled(3) advises; 0 when nobody watches.
func (n *Notifier) WatchdogInterval() time.Duration { return n.watchdog / 2 }

// Watchdog tells the service manager that edged makes progress, at once and then
// at every WatchdogInterval until ctx ends, each time only when probe has just
// proven it: it returned nil within the interval. A probe that fails, is late or
// hangs leaves the message out, and when that lasts, the service manager
// restarts edged: so a probe asks for what only edged itself can have broken,
// and logs why it fails. The probe's context ends with the interval.
//
// It returns when ctx ends and the running probe has returned, at once where
// nobody watches.
func (n *Notifier) Watchdog(ctx context.Context, probe func(context.Context) error) {
	interval := n.WatchdogInterval()
	if interval <= 0 {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		// A message that was not sent is the report.
		_ = n.feed(ctx, interval, probe)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// feed sends one message if probe proves progress.
func (n *Notifier) feed(ctx context.Context, limit time.Duration, probe func(context.Context) error) error {
	probing, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := probe(probing); err != nil {
		return fmt.Errorf("cannot prove progress: %w", err)
	}
	// A probe that ignores its context and comes late has proven nothing.
	if err := probing.Err(); err != nil {
		return errors.Join(errors.New("cannot prove progress: the probe came late"), err)
	}
	return n.send("WATCHDOG=1", nil)
}
