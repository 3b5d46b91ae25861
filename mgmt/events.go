package mgmt

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/module"
)

// events streams what becomes of modules as JSON lines, until the client leaves or
// edged stops. It compares pictures instead of keeping a queue: a client that reads
// slowly costs no memory, and is never told of a state that is over already.
func (a *api) events(w http.ResponseWriter, r *httpapi.Request) error {
	initial, err := r.Bool("initial")
	if err != nil {
		return err
	}
	ctx := r.Context()
	if a.Stopping != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(a.Stopping, cancel)()
	}
	out := &eventWriter{control: http.NewResponseController(w), w: w, known: map[string]known{}}
	changed := a.Supervisor.Changed()
	out.begin(a.Supervisor.List(ctx), initial)
	w.Header().Set("Content-Type", ndjson)
	httpapi.Deadline(w)
	w.WriteHeader(http.StatusOK)
	for {
		if err := out.flush(); err != nil {
			return nil //nolint:nilerr // the client left
		}
		select {
		case <-changed:
		case <-ctx.Done():
			httpapi.Deadline(w)
			return nil
		}
		changed = a.Supervisor.Changed()
		out.compare(a.Supervisor.List(ctx))
	}
}

// known is what was told of a module.
type known struct {
	state *module.State
	event wire.Event
}

type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	known   map[string]known
	lines   []byte
}

// begin takes the modules that there are as told.
func (e *eventWriter) begin(states []*module.State, tell bool) {
	for _, s := range states {
		ev := eventOf(s)
		e.known[s.Spec.Name] = known{s, ev}
		if tell {
			e.line(wire.EventPresent, ev)
		}
	}
	if tell {
		e.line(wire.EventReady, wire.Event{})
	}
}

func (e *eventWriter) compare(states []*module.State) {
	there := make(map[string]bool, len(states))
	for _, s := range states {
		name := s.Spec.Name
		there[name] = true
		before, was := e.known[name]
		if was && before.state == s {
			continue
		}
		now := eventOf(s)
		e.known[name] = known{s, now}
		switch {
		case !was:
			e.line(wire.EventCreated, now)
		case before.event.Generation != now.Generation:
			e.line(wire.EventUpdated, now)
		case !reflect.DeepEqual(before.event, now):
			e.line(wire.EventChanged, now)
		}
	}
	for name := range e.known {
		if !there[name] {
			delete(e.known, name)
			e.line(wire.EventDeleted, wire.Event{Module: name})
		}
	}
}

// eventOf is what everybody may know of a module; what a failing check printed is not in it.
func eventOf(s *module.State) wire.Event {
	m := encode(s, false)
	ev := wire.Event{
		Module: m.Name, Image: m.Config.Settings.Image, Status: m.Status.RuntimeStatus.Status, Description: m.Status.RuntimeStatus.Description,
		StartTime: m.Status.StartTime, Restarts: s.Status.Restarts, Generation: s.Generation,
	}
	if h := s.Status.Health; h != nil && s.Status.Runtime == module.Running {
		ev.Health = string(h.Status)
	}
	if x := s.Status.Exit; x != nil {
		code := x.Code
		ev.ExitCode = &code
	}
	return ev
}

func (e *eventWriter) line(kind string, ev wire.Event) {
	ev.Kind, ev.Time = kind, time.Now().UTC().Format(time.RFC3339Nano)
	b, err := json.Marshal(ev)
	if err != nil {
		return // nothing in it can fail
	}
	e.lines = append(append(e.lines, b...), '\n')
}

// flush sends the lines; the first call sends the head as well, so that the client
// knows that it misses nothing from now on.
func (e *eventWriter) flush() error {
	httpapi.Deadline(e.w)
	if len(e.lines) > 0 {
		if _, err := e.w.Write(e.lines); err != nil {
			return err
		}
		e.lines = e.lines[:0]
	}
	return e.control.Flush()
}
