// Package audit writes who did what, and who was refused: to the journal's own
// fields when stderr is a journal, else as JSON lines with "audit":true on stderr; and
// to a table, which outlives what a journal keeps.
//
// Refusals are cheap to provoke. They are gathered per caller, route and reason
// for a minute and have a quota apart from changes, so that a loop of 403s neither
// pushes evidence out nor wears the flash: the table is written at most once a second
// for them, and one that goes on for an hour is one row.
package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/peer"
)

// Window is how long refusals that are alike are gathered; quota is how many
// different ones are written in a window.
const (
	Window = time.Minute
	quota  = 64
	// sameChanges is how many changes that are alike are written one by one in a window.
	sameChanges = 16
)

// Event is one decision.
type Event struct {
	Caller peer.Caller
	// Route is the route's template, never the URL: a path can hold anything.
	Method, Route string
	// Module is the one the path names.
	Module string
	// Volume is the one the path names.
	Volume string
	// Build is the uid of the catalog's row, or how many rows.
	Build string
	// Bundle is the key, or the keys, of what the request names.
	Bundle string
	// Comment is what the caller said of it; what is long is cut.
	Comment string
	// Package is the uid of the one that came or went.
	Package string
	// Revision is of the manifest that the request brought.
	Revision string
	// Status is what was answered.
	Status int
	// Rule and Reason say why a request was refused; empty for changes.
	Rule, Reason string
}

// Log writes events. Close writes what was gathered.
type Log struct {
	write func(fields map[string]string)
	table *keeper

	mu      sync.Mutex
	refused map[string]*gathered
	changed map[string]*gathered
	over    int
	overAt  time.Time // of the first of those over the quota

	stop chan struct{}
	done chan struct{}
}

// gathered are events that are alike. The entry is of the last one.
type gathered struct {
	entry Entry
	first time.Time // of those that are not written yet
	lines int       // written one by one, of a change
	more  int       // not written yet
}

// New returns a Log on stderr, or on the journal that stderr is connected to.
func New(stderr io.Writer) *Log {
	if ok, err := journal.StderrIsJournalStream(); err == nil && ok {
		return start(toJournal)
	}
	return start(toJSON(stderr))
}

func start(write func(map[string]string)) *Log {
	l := &Log{
		write: write, table: newKeeper(), refused: map[string]*gathered{}, changed: map[string]*gathered{},
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go l.run()
	return l
}

// Keep has all that is written from now on kept in a table, too. What the table does not take
// is told to the logger.
func (l *Log) Keep(table Table, logger logrus.FieldLogger) { l.table.open(table, logger) }

// Lost is how many rows the table did not get since the start.
func (l *Log) Lost() uint64 { return l.table.lost.Load() }

func (l *Log) run() {
	defer close(l.done)
	tick := time.NewTicker(Window)
	defer tick.Stop()
	defer l.table.batch.Stop()
	for {
		select {
		case <-tick.C:
			l.flush()
		case <-l.table.wake:
			l.table.batch.Reset(batchTime)
		case <-l.table.batch.C:
			l.table.write()
		case <-l.stop:
			l.flush()
			l.table.write()
			l.table.giveUp()
			return
		}
	}
}

// Close writes what was gathered and ends the log's goroutine. What is recorded after it is not kept in the table.
func (l *Log) Close() {
	close(l.stop)
	<-l.done
}

// record writes entries that are alike as one. An operator's change is in the table when it
// returns, unless the disk is full.
func (l *Log) record(e Entry, repeated int, atOnce bool) {
	f := fields(&e)
	if repeated > 0 {
		e.Count = repeated
		f["repeated"] = strconv.Itoa(repeated)
	}
	l.write(f)
	l.table.add(e)
	if atOnce {
		l.table.write()
	}
}

// Change records what a caller changed: each change of edgeAgent and of the host's
// users is a line. Any module may start and stop modules, as often as it likes, so of
// theirs what is the same more than sameChanges times within the window is counted,
// and written at its end.
func (l *Log) Change(e Event) {
	entry := entryOf(&e, Change)
	entry.Time, entry.Last = now(), now()
	if byOperator(e.Caller) {
		l.record(entry, 0, true)
		return
	}
	key := strings.Join([]string{e.Caller.Kind.String(), who(&e), e.Method, e.Route, e.Module, e.Package, e.Bundle, strconv.Itoa(e.Status)}, "\x00")
	l.mu.Lock()
	g := l.changed[key]
	if g == nil {
		g = &gathered{}
		l.changed[key] = g
	}
	g.lines++
	write := g.lines <= sameChanges
	if !write {
		g.another(&entry)
	}
	l.mu.Unlock()
	if write {
		l.record(entry, 0, false)
	}
}

// another counts one that is not written yet.
func (g *gathered) another(e *Entry) {
	if g.more == 0 {
		g.first = e.Time
	}
	g.entry = *e
	g.more++
}

// who tells callers apart. Uids count only on the host: inside a container they are
// free, and each would be one more kind.
func who(e *Event) string {
	if e.Caller.Kind == peer.Host {
		return strconv.FormatUint(uint64(e.Caller.UID), 10)
	}
	return e.Caller.Module()
}

// Refusal records a refusal: the first of its kind at once, the others as a count
// at the end of the window.
func (l *Log) Refusal(e Event) {
	entry := entryOf(&e, Refusal)
	entry.Time, entry.Last = now(), now()
	l.mu.Lock()
	g := l.refused[entry.Alike]
	first := false
	switch {
	case g != nil:
		g.another(&entry)
	case len(l.refused) >= quota:
		if l.over == 0 {
			l.overAt = entry.Time
		}
		l.over++
	default:
		l.refused[entry.Alike] = &gathered{}
		first = true
	}
	l.mu.Unlock()
	if first {
		l.record(entry, 0, false)
	}
}

func (l *Log) flush() {
	l.mu.Lock()
	refused, changed, over := l.refused, l.changed, l.over
	l.refused, l.changed, l.over = map[string]*gathered{}, map[string]*gathered{}, 0
	l.mu.Unlock()
	for _, all := range []map[string]*gathered{changed, refused} {
		for _, key := range slices.Sorted(maps.Keys(all)) {
			if g := all[key]; g.more > 0 {
				g.entry.Time = g.first
				l.record(g.entry, g.more, false)
			}
		}
	}
	if over > 0 {
		l.record(Entry{Kind: Refusal, Alike: "over", Time: l.overAt, Last: now(), Reason: "more kinds of refusal than are written one by one"}, over, false)
	}
}

// now is as precise as the table.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// fields are the log's words for an entry. What is empty is left out.
func fields(e *Entry) map[string]string {
	f := map[string]string{"audit": string(e.Kind)}
	if e.Caller != "" {
		f["caller_uid"], f["caller_pid"] = strconv.FormatUint(uint64(e.CallerUID), 10), strconv.Itoa(e.CallerPID)
		f["proof"], f["listener"], f["status"] = e.Proof, e.Listener, strconv.Itoa(e.Status)
		f["method"], f["route"], f["caller"] = e.Method, e.Route, e.Caller
	}
	for k, v := range map[string]string{
		"caller_module": e.CallerModule, "caller_container": e.CallerContainer, "rule": e.Rule, "reason": e.Reason,
		"module": e.Module, "volume": e.Volume, "package": e.Package, "revision": e.Revision, "build": e.Build, "bundle": e.Bundle, "comment": e.Comment,
	} {
		if v != "" {
			f[k] = v
		}
	}
	return f
}

// toJournal gives every field a name of its own, EDGED_..., so that journalctl can ask for it.
func toJournal(f map[string]string) {
	vars := make(map[string]string, len(f))
	for k, v := range f {
		vars["EDGED_"+strings.ToUpper(k)] = v
	}
	// A journal that does not take it is not a reason to refuse service.
	_ = journal.Send(summary(f), journal.PriNotice, vars)
}

func toJSON(w io.Writer) func(map[string]string) {
	var mu sync.Mutex
	return func(f map[string]string) {
		line := map[string]any{"audit": true, "time": time.Now().UTC().Format(time.RFC3339Nano)}
		for k, v := range f {
			if k == "audit" {
				k = "event"
			}
			line[k] = v
		}
		b, err := json.Marshal(line)
		if err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		_, _ = w.Write(append(b, '\n'))
	}
}

func summary(f map[string]string) string {
	who := f["caller"]
	if m := f["caller_module"]; m != "" {
		who += " " + m
	}
	return strings.TrimSpace(fmt.Sprintf("%s: %s (uid %s) %s %s: %s %s", f["audit"], who, f["caller_uid"], f["method"], f["route"], f["status"], f["reason"]))
}
