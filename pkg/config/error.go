package config

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// Error is one fault in the configuration, of the class
// errdefs.ErrInvalidArgument. Load joins several.
type Error struct {
	// File and, from 1 on, Line and Column (in bytes) of the fault; the lines
	// are 0 where a default is at fault.
	File         string
	Line, Column int
	// Key is the whole dotted key, empty where the text is not TOML.
	Key string
	// Message says what is wrong.
	Message string
}

// Error reads file:line:column: key: message.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ":")
		if e.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", e.Line, e.Column)
		}
		b.WriteString(" ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Is makes every Error of the class errdefs.ErrInvalidArgument.
func (e *Error) Is(target error) bool { return target == errdefs.ErrInvalidArgument }
