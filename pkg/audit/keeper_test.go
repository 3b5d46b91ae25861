package audit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	logrustest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/peer"
)

// memory is a table that counts its writes and can be full.
type memory struct {
	mu     sync.Mutex
	rows   []Entry
	writes int
	full   bool
}

func (m *memory) WriteAudit(_ context.Context, entries []Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full {
		return errors.New("the disk is full")
	}
	m.writes++
	m.rows = append(m.rows, entries...)
	return nil
}

func (m *memory) Audit(context.Context, Query) ([]Entry, error) { return nil, nil }

func (m *memory) setFull(full bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.full = full
}

func (m *memory) written() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

// of is how many events of a kind there are, and in how many rows.
func (m *memory) of(kind Kind) (events, rows int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		if r.Kind == kind {
			events += r.Count
			rows++
		}
	}
	return events, rows
}

// kept runs a test with a log that keeps a table, in a bubble of its own time.
func kept(t *testing.T, f func(t *testing.T, l *Log, m *memory, said *logrustest.Hook)) {
	t.Helper()
	logged(t, func(t *testing.T, l *Log, _ *written) {
		logger, hook := logrustest.NewNullLogger()
		m := &memory{}
		l.Keep(m, logger)
		f(t, l, m, hook)
	})
}

func change(c peer.Caller) Event {
	return Event{Caller: c, Method: "POST", Route: "/modules/{name}/start", Module: "pump", Status: 204}
}

func TestAnOperatorsChangeIsInTheTableWhenItReturns(t *testing.T) {
	kept(t, func(t *testing.T, l *Log, m *memory, _ *logrustest.Hook) {
		l.Change(change(peer.Caller{Kind: peer.Host}))
		l.Change(change(inside("edgeAgent", 0)))
		require.Len(t, m.rows, 2)
		require.Equal(t, "pump", m.rows[0].Module)
		require.Equal(t, now(), m.rows[0].Time)
	})
}

func TestWhatAnyModuleCanProvokeIsWrittenOnceASecond(t *testing.T) {
	kept(t, func(t *testing.T, l *Log, m *memory, _ *logrustest.Hook) {
		for range 100 {
			l.Refusal(refusal(inside("other", 0)))
			l.Change(change(inside("other", 0)))
		}
		require.Zero(t, m.written())
		time.Sleep(batchTime)
		synctest.Wait()
		require.Equal(t, 1, m.written())
		changes, _ := m.of(Change)
		refusals, _ := m.of(Refusal)
		require.Equal(t, sameChanges, changes)
		require.Equal(t, 1, refusals)
		time.Sleep(Window + batchTime)
		synctest.Wait()
		require.Equal(t, 2, m.written(), "the counts at the end of the window, together")
		changes, rows := m.of(Change)
		require.Equal(t, 100, changes)
		require.Equal(t, sameChanges+1, rows)
		refusals, rows = m.of(Refusal)
		require.Equal(t, 100, refusals)
		require.Equal(t, 2, rows)
	})
}

func TestAFullDiskCostsNoRequestAndIsMadeUpFor(t *testing.T) {
	kept(t, func(t *testing.T, l *Log, m *memory, said *logrustest.Hook) {
		m.setFull(true)
		l.Change(change(peer.Caller{Kind: peer.Host}))
		for range 5 {
			l.Refusal(refusal(inside("other", 0)))
			time.Sleep(Window)
		}
		synctest.Wait()
		require.Len(t, said.AllEntries(), 1, "said once")
		require.Equal(t, logrus.ErrorLevel, said.LastEntry().Level)
		m.setFull(false)
		time.Sleep(retryTime)
		synctest.Wait()
		changes, _ := m.of(Change)
		refusals, rows := m.of(Refusal)
		require.Equal(t, 1, changes)
		require.Equal(t, 5, refusals)
		require.Equal(t, 1, rows, "those that were alike waited as one")
		require.Len(t, said.AllEntries(), 2)
		require.Zero(t, l.Lost())
	})
}

func TestWhatWaitsIsBoundedAndRefusalsGoFirst(t *testing.T) {
	kept(t, func(t *testing.T, l *Log, m *memory, _ *logrustest.Hook) {
		m.setFull(true)
		l.Refusal(refusal(inside("other", 0)))
		for range maxPending + 10 {
			l.Change(change(peer.Caller{Kind: peer.Host}))
		}
		require.EqualValues(t, 11, l.Lost())
		m.setFull(false)
		time.Sleep(retryTime)
		synctest.Wait()
		require.Len(t, m.rows, maxPending)
		require.False(t, slices.ContainsFunc(m.rows, func(e Entry) bool { return e.Kind == Refusal }))
	})
}

func TestTheEndWritesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, m := start(toJSON(&written{})), &memory{}
		logger, _ := logrustest.NewNullLogger()
		l.Keep(m, logger)
		for range 3 {
			l.Refusal(refusal(inside("other", 0)))
		}
		l.Close()
		refusals, _ := m.of(Refusal)
		require.Equal(t, 3, refusals)
		l.Change(change(peer.Caller{Kind: peer.Host}))
		require.Len(t, m.rows, 1, "the database may be closed by now")
	})
}

// TestManyChangesAtOnceAreFewWrites: each waits for its own, which another may have done.
func TestManyChangesAtOnceAreFewWrites(t *testing.T) {
	l, m := start(toJSON(&written{})), &memory{}
	defer l.Close()
	logger, _ := logrustest.NewNullLogger()
	l.Keep(m, logger)
	l.table.writing.Lock()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { l.Change(change(peer.Caller{Kind: peer.Host})) })
	}
	waiting := func() int {
		l.table.mu.Lock()
		defer l.table.mu.Unlock()
		return len(l.table.pending)
	}
	for waiting() < 50 {
		time.Sleep(time.Millisecond)
	}
	l.table.writing.Unlock()
	wg.Wait()
	require.Len(t, m.rows, 50)
	require.Equal(t, 1, m.written())
}
