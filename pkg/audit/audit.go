// Package audit writes who did what, and who was refused: to the journal's own
// fields when stderr is a journal, else as JSON lines with "audit":true on stderr.
//
// Refusals are cheap to provoke. They are gathered per caller, route and reason
// for a minute and have a quota apart from changes, so that a loop of 403s neither
// pushes evidence out nor wears the flash.
package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/edged/edged/pkg/module"
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

	mu      sync.Mutex
	refused map[string]*gathered
	changed map[string]*gathered
	over    int

	stop chan struct{}
	done chan struct{}
}

type gathered struct {
	event Event
	lines int // written one by one, of a change
	more  int // not written yet
}

// New returns a Log on stderr, or on the journal that stderr is connected to.
func New(stderr io.Writer) *Log {
	if ok, err := journal.StderrIsJournalStream(); err == nil && ok {
		return start(toJournal)
	}
	return start(toJSON(stderr))
}

func start(write func(map[string]string)) *Log {
	l := &Log{write: write, refused: map[string]*gathered{}, changed: map[string]*gathered{}, stop: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l
}

func (l *Log) run() {
	defer close(l.done)
	tick := time.NewTicker(Window)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.flush()
		case <-l.stop:
			l.flush()
			return
		}
	}
}

// Close writes what was gathered and ends the log's goroutine.
func (l *Log) Close() {
	close(l.stop)
	<-l.done
}

// Change records what a caller changed: each change of edgeAgent and of the host's
// users is a line. Any module may start and stop modules, as often as it likes, so of
// theirs what is the same more than sameChanges times within the window is counted,
// and written at its end.
func (l *Log) Change(e Event) {
	if name := e.Caller.Module(); name == "" || name == module.AgentName {
		l.write(fields(e, "change", 0))
		return
	}
	key := strings.Join([]string{e.Caller.Kind.String(), who(e), e.Method, e.Route, e.Module, e.Package, e.Bundle, fmt.Sprint(e.Status)}, "\x00")
	l.mu.Lock()
	g := l.changed[key]
	if g == nil {
		g = &gathered{event: e}
		l.changed[key] = g
	}
	g.lines++
	write := g.lines <= sameChanges
	if !write {
		g.more++
	}
	l.mu.Unlock()
	if write {
		l.write(fields(e, "change", 0))
	}
}

// who tells callers apart. Uids count only on the host: inside a container they are
// free, and each would be one more kind.
func who(e Event) string {
	if e.Caller.Kind == peer.Host {
		return fmt.Sprint(e.Caller.UID)
	}
	return e.Caller.Module()
}

// Refusal records a refusal: the first of its kind at once, the others as a count
// at the end of the window.
func (l *Log) Refusal(e Event) {
	key := strings.Join([]string{e.Caller.Kind.String(), who(e), e.Method, e.Route, e.Reason}, "\x00")
	l.mu.Lock()
	g := l.refused[key]
	first := false
	switch {
	case g != nil:
		g.more++
	case len(l.refused) >= quota:
		l.over++
	default:
		l.refused[key] = &gathered{event: e}
		first = true
	}
	l.mu.Unlock()
	if first {
		l.write(fields(e, "refusal", 0))
	}
}

func (l *Log) flush() {
	l.mu.Lock()
	refused, changed, over := l.refused, l.changed, l.over
	l.refused, l.changed, l.over = map[string]*gathered{}, map[string]*gathered{}, 0
	l.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(changed)) {
		if g := changed[key]; g.more > 0 {
			l.write(fields(g.event, "change", g.more))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(refused)) {
		if g := refused[key]; g.more > 0 {
			l.write(fields(g.event, "refusal", g.more))
		}
	}
	if over > 0 {
		l.write(map[string]string{"audit": "refusal", "repeated": fmt.Sprint(over), "reason": "more kinds of refusal than are written one by one"})
	}
}

func fields(e Event, kind string, repeated int) map[string]string {
	f := map[string]string{
		"audit": kind, "method": e.Method, "route": e.Route, "status": fmt.Sprint(e.Status),
		"caller": e.Caller.Kind.String(), "caller_uid": fmt.Sprint(e.Caller.UID), "caller_pid": fmt.Sprint(e.Caller.PID),
		"proof": string(e.Caller.Proof), "listener": e.Caller.Listener,
	}
	optional := map[string]string{"module": e.Module, "volume": e.Volume, "package": e.Package, "revision": e.Revision, "build": bounded(e.Build), "bundle": bounded(e.Bundle), "comment": bounded(e.Comment), "rule": e.Rule, "reason": e.Reason, "caller_module": e.Caller.Module()}
	if e.Caller.Instance != nil {
		optional["caller_container"] = e.Caller.Instance.ContainerID
	}
	if repeated > 0 {
		optional["repeated"] = fmt.Sprint(repeated)
	}
	for k, v := range optional {
		if v != "" {
			f[k] = v
		}
	}
	return f
}

// maxText bounds what callers write into the log, in bytes.
const maxText = 512

// bounded makes one line of a text, in which nothing steers a terminal, and cuts it.
func bounded(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s[:min(len(s), maxText)])
	return strings.ToValidUTF8(s, "")
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
