package audit

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
)

const (
	// batchTime is how long what any module can provoke waits for more of it.
	batchTime = time.Second
	// retryTime is between two tries to write what the table did not take.
	retryTime = 10 * time.Second
	// writeTimeout bounds a write, for which the answer to a change waits.
	writeTimeout = 5 * time.Second
	// maxPending is how many rows wait in memory for a table that takes none.
	maxPending = 1024
)

// keeper brings entries into the table. Who writes takes along what waits, so that many
// changes at once become one write.
type keeper struct {
	writing sync.Mutex // held for a write; before mu
	mu      sync.Mutex
	table   Table
	log     logrus.FieldLogger
	pending []Entry
	failing bool

	lost atomic.Uint64
	// wake is told when there is something that waits, and batch fires when it is to be written.
	wake  chan struct{}
	batch *time.Timer
}

func newKeeper() *keeper {
	k := &keeper{wake: make(chan struct{}, 1), batch: time.NewTimer(time.Hour)}
	k.batch.Stop()
	return k
}

func (k *keeper) open(table Table, log logrus.FieldLogger) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.table, k.log = table, log
}

// add has an entry wait for the next write.
func (k *keeper) add(e Entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.table == nil {
		return
	}
	if e.Alike != "" {
		if i := slices.IndexFunc(k.pending, func(p Entry) bool { return p.Alike == e.Alike }); i >= 0 {
			e.Time, e.Count = k.pending[i].Time, e.Count+k.pending[i].Count
			k.pending = slices.Delete(k.pending, i, i+1)
		}
	}
	if len(k.pending) >= maxPending {
		// A refusal goes before a change does.
		i := max(0, slices.IndexFunc(k.pending, func(p Entry) bool { return p.Kind == Refusal }))
		k.pending = slices.Delete(k.pending, i, i+1)
		k.lost.Add(1)
	}
	k.pending = append(k.pending, e)
	if len(k.pending) == 1 {
		select {
		case k.wake <- struct{}{}:
		default:
		}
	}
}

// write writes all that waits. What cannot be written waits on, and is tried again.
func (k *keeper) write() {
	k.writing.Lock()
	defer k.writing.Unlock()
	k.mu.Lock()
	entries, table := k.pending, k.table
	k.pending = nil
	k.mu.Unlock()
	if len(entries) == 0 {
		return // another write took it along
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	err := table.WriteAudit(ctx, entries)
	k.mu.Lock()
	if err != nil {
		k.pending = append(entries, k.pending...)
		if over := len(k.pending) - maxPending; over > 0 {
			k.pending = slices.Delete(k.pending, 0, over)
			k.lost.Add(uint64(over))
		}
		k.batch.Reset(retryTime)
	}
	changed := k.failing != (err != nil)
	k.failing = err != nil
	k.mu.Unlock()
	switch {
	case changed && err != nil:
		k.log.WithError(err).Error("the audit table is not written; the log is")
	case changed:
		k.log.Info("the audit table is written again")
	}
}

// giveUp counts what was never written.
func (k *keeper) giveUp() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lost.Add(uint64(len(k.pending)))
	k.pending, k.table = nil, nil
}
