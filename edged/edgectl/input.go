package main

import (
	"fmt"
	"io"
	"os"
)

// input reads what the caller names, a file, a pipe or, as "-", standard input; more than
// limit bytes are a usage error, as is what cannot be read.
func (a *app) input(name string, limit int64) ([]byte, error) {
	in, shown := a.in, "standard input"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usageError{fmt.Errorf("cannot %w", err)} // "open NAME: why"
		}
		defer f.Close()
		in, shown = f, name
	}
	text, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, usageError{fmt.Errorf("cannot read %s: %w", shown, err)}
	}
	if int64(len(text)) > limit {
		return nil, usageError{fmt.Errorf("%s is larger than %d bytes", shown, limit)}
	}
	return text, nil
}
