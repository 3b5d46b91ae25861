package deploy

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/edged/agent/manifest"
)

// Variables finds the values of ${NAME}, and remembers those that are to be told to
// the agent.
type Variables struct {
	// File and Environment are asked in this order: what --env-file says, then the caller's
	// environment.
	File        map[string]string
	Environment manifest.Lookup
	// Known are the names of which edged has a value, which it tells nobody. Any says that
	// every name is taken to have one.
	Known []string
	Any   bool

	used map[string]string
}

// Lookup is a manifest.Lookup. What only edged knows is returned as it was asked for.
func (v *Variables) Lookup(name string) (string, bool) {
	value, ok := v.File[name]
	if !ok && v.Environment != nil {
		value, ok = v.Environment(name)
	}
	if ok {
		if v.used == nil {
			v.used = map[string]string{}
		}
		v.used[name] = value
		return value, true
	}
	return "${" + name + "}", v.Any || slices.Contains(v.Known, name)
}

// Used are those values that were looked up and that the agent is to be given.
func (v *Variables) Used() map[string]string { return v.used }

// ParseEnvFile reads lines of NAME=value; a value may stand in quotes, and a line that
// begins with # is a comment. Errors, errdefs.InvalidArgument, hold no value.
func ParseEnvFile(text []byte) (map[string]string, error) {
	values := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, " \t${}\"'") {
			return nil, fmt.Errorf("line %d is not NAME=value: %w", n, errdefs.ErrInvalidArgument)
		}
		value = strings.TrimSpace(value)
		if len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			value = value[1 : len(value)-1]
		}
		values[name] = value
	}
	return values, lines.Err()
}
