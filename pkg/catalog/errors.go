package catalog

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// Invalid is what a client has to mend, in the API's own words: one Detail, or what is
// wrong with each field. It is errdefs.InvalidArgument.
type Invalid struct {
	// Detail is a string or, for what concerns several fields, a []string.
	Detail any
	// Fields is, by field, a []string; for lists what is wrong with the list or its items.
	Fields map[string]any
	// EmptyPatch says that a change was asked for that changes nothing.
	EmptyPatch bool
}

func invalid(format string, args ...any) *Invalid {
	return &Invalid{Detail: fmt.Sprintf(format, args...)}
}

func (e *Invalid) Error() string {
	if e.Fields != nil {
		names := make([]string, 0, len(e.Fields))
		for _, f := range fieldOrder {
			if _, ok := e.Fields[f]; ok {
				names = append(names, f)
			}
		}
		return "invalid " + strings.Join(names, ", ")
	}
	return fmt.Sprint(e.Detail)
}

// Unwrap gives it its class.
func (e *Invalid) Unwrap() error { return errdefs.ErrInvalidArgument }

// ItemError says which part of a request for many rows was wrong. Its class is that of
// what was wrong; nothing of the whole request was done.
type ItemError struct {
	// ID is the index of the item, an int, or the uid that names the row.
	ID any
	// Data is the item as it came; nil when there is nothing to show.
	Data any
	Err  error
}

func (e *ItemError) Error() string { return fmt.Sprintf("item %v: %v", e.ID, e.Err) }

// Unwrap returns what was wrong.
func (e *ItemError) Unwrap() error { return e.Err }

// ErrNoPage is a page number behind the last, or none at all.
var ErrNoPage = fmt.Errorf("no such page: %w", errdefs.ErrNotFound)
