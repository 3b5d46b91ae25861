package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/edged/edged/pkg/deployment"
)

// pollEvery is how often the agent's status is looked at; it is a file, and no watch
// on it would survive the agent's replacing the folder's content.
const pollEvery = 200 * time.Millisecond

// Wait follows what the agent says of a revision until it has ended with it, and calls
// report with each line of progress. before is what the agent said before the manifest
// was written, nil without: the same word again is not about this one. The error is
// ctx's alone; the last status is returned with it, nil when there was none.
func (f Folders) Wait(ctx context.Context, revision string, before *deployment.Status, report func(line string)) (*deployment.Status, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last *deployment.Status
	said := map[string]string{}
	for {
		s, err := f.ReadStatus()
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			sayOnce(said, "", err.Error(), report) // half a file cannot be: the agent is another's
		case s.Revision == revision && (before == nil || !reflect.DeepEqual(s, before)):
			last = s
			progress(s, said, report)
			if s.Phase.Done() {
				return s, nil
			}
		}
		select {
		case <-ctx.Done():
			return last, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// progress reports what is other than the last time.
func progress(s *deployment.Status, said map[string]string, report func(string)) {
	phase := string(s.Phase)
	if s.Error != "" && !s.Phase.Done() {
		phase += ": " + s.Error
	}
	sayOnce(said, "", phase, report)
	for _, name := range slices.Sorted(maps.Keys(s.Modules)) {
		m := s.Modules[name]
		text := m.State
		if m.Health != "" {
			text += ", " + m.Health
		}
		if m.Progress != "" {
			text = m.Progress
		}
		if m.Error != "" {
			text += ": " + m.Error
		}
		sayOnce(said, name, fmt.Sprintf("  %-20s %s", name, text), report)
	}
}

func sayOnce(said map[string]string, key, text string, report func(string)) {
	if said[key] != text {
		said[key] = text
		report(text)
	}
}
