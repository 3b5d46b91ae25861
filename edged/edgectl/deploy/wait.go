package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
)

// pollEvery is how often edged is asked what the agent says; the agent writes progress
// twice a second.
const pollEvery = 200 * time.Millisecond

// ErrReplaced says that somebody else gave the agent another manifest meanwhile.
var ErrReplaced = errors.New("another deployment has replaced it meanwhile")

// Look asks edged for the deployment.
type Look func(context.Context) (*wire.Deployment, error)

// Wait follows what the agent says of a revision until it has ended with it, and calls
// report with each line of progress. before is what the agent said before the manifest
// was given to it, nil without: the same word again is not about this one. An edged that
// does not answer is waited for. The error is ctx's, ErrReplaced, or edged's no; the last
// status is returned with it, nil when there was none.
func Wait(ctx context.Context, look Look, revision string, before *deployment.Status, report func(line string)) (*deployment.Status, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last *deployment.Status
	said := map[string]string{}
	for {
		d, err := look(ctx)
		var gone *client.UnreachableError
		switch {
		case ctx.Err() != nil:
		case errors.As(err, &gone):
			sayOnce(said, "", "edged does not answer; waiting for it", report)
		case err != nil:
			return last, err
		case d.Revision != revision:
			return last, ErrReplaced
		default:
			s := d.Status
			if d.Problem != "" {
				sayOnce(said, "!", d.Problem, report)
			}
			if s == nil || s.Revision != revision || before != nil && reflect.DeepEqual(s, before) {
				break
			}
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
