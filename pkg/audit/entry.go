package audit

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
)

// Kind is what an entry is of.
type Kind string

// The kinds.
const (
	Change  Kind = "change"
	Refusal Kind = "refusal"
)

// Entry is a line of the log and a row of the table: one event, or several that are alike.
type Entry struct {
	// ID grows from row to row; one that became of several is the newest.
	ID int64 `json:"-"`
	// Time is of the first event and Last of the last one; Count is how many there were.
	Time  time.Time `json:"-"`
	Last  time.Time `json:"-"`
	Count int       `json:"-"`
	Kind  Kind      `json:"-"`
	// Alike is the same text for refusals that may become one row; empty for changes.
	Alike string `json:"-"`

	// Caller is the kind of the caller.
	Caller          string `json:"caller"`
	CallerModule    string `json:"callerModule,omitempty"`
	CallerContainer string `json:"callerContainer,omitempty"`
	CallerUID       uint32 `json:"callerUid"`
	CallerPID       int    `json:"callerPid,omitempty"`
	Proof           string `json:"proof,omitempty"`
	Listener        string `json:"listener,omitempty"`

	Method string `json:"method,omitempty"`
	Route  string `json:"route,omitempty"`
	Status int    `json:"status,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Reason string `json:"reason,omitempty"`

	Module   string `json:"module,omitempty"`
	Volume   string `json:"volume,omitempty"`
	Package  string `json:"package,omitempty"`
	Build    string `json:"build,omitempty"`
	Bundle   string `json:"bundle,omitempty"`
	Revision string `json:"revision,omitempty"`
	Comment  string `json:"comment,omitempty"`
}

// Query chooses rows of the table. What is zero chooses all.
type Query struct {
	Kind Kind
	// Since is the least time of the last event.
	Since time.Time
	// Module is the one that was acted upon.
	Module string
	// Caller is a module's name, or the uid of a user of the host.
	Caller string
	// Before and After are ids that rows are below and above.
	Before, After int64
	// Limit is the most rows; it has to be given.
	Limit int
}

// Table keeps entries over restarts, a bounded number of each kind.
type Table interface {
	// WriteAudit adds entries, all or none. A refusal goes into the row of one that was alike,
	// where that is not long ago. It is Unavailable when the disk is full: the room that is held
	// back for what an operator does is not for it.
	WriteAudit(ctx context.Context, entries []Entry) error
	// Audit returns entries, the newest first.
	Audit(ctx context.Context, q Query) ([]Entry, error)
}

func entryOf(e *Event, kind Kind) Entry {
	entry := Entry{
		Count: 1, Kind: kind,
		Caller: e.Caller.Kind.String(), CallerModule: e.Caller.Module(), CallerUID: e.Caller.UID, CallerPID: e.Caller.PID, Proof: string(e.Caller.Proof), Listener: e.Caller.Listener,
		Method: e.Method, Route: e.Route, Status: e.Status, Rule: e.Rule, Reason: e.Reason,
		Module: e.Module, Volume: e.Volume, Package: e.Package, Build: bounded(e.Build), Bundle: bounded(e.Bundle), Revision: e.Revision, Comment: bounded(e.Comment),
	}
	if e.Caller.Instance != nil {
		entry.CallerContainer = e.Caller.Instance.ContainerID
	}
	if kind == Refusal {
		entry.Alike = alike(e)
	}
	return entry
}

// alike is the same for refusals of the same caller, for the same reason.
func alike(e *Event) string {
	return strings.Join([]string{e.Caller.Kind.String(), who(e), e.Method, e.Route, e.Reason}, "\x00")
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

// byOperator says that those did it who own the device: such changes are few, and evidence.
func byOperator(c peer.Caller) bool { return c.Module() == "" || c.Module() == module.AgentName }
