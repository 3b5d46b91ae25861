package listen

import (
	"context"
	"fmt"
	"time"
)

// Starting asks the service manager for more time at every interval until ctx ends,
// so that TimeoutStartSec= does not cut off what may take long in a start, and would
// begin anew for ever. What bounds what hangs there is the deadline of ctx.
func (n *Notifier) Starting(ctx context.Context, interval time.Duration) {
	if n.socket == "" {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// A question that is not heard leaves the unit's own limit.
			_ = n.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (3*interval).Microseconds()), nil)
		}
	}
}
