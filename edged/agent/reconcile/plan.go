package reconcile

import (
	"cmp"
	"slices"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/module"
)

type kind int

const (
	// note changes nothing on the device, only what is remembered.
	note kind = iota
	remove
	create
	update
	start
	stop
)

// step is one thing to do to one module.
type step struct {
	kind kind
	name string
	// spec is what to create or update to, nil for other kinds.
	spec *wire.ModuleSpec
	run  bool
	// wish and made are what to remember.
	wish, made string
	// module is what the manifest says of it, nil for one that is to go.
	module *manifest.Module
}

// order is the module's in the manifest; what goes or stops is before all others.
func (s *step) order() int64 {
	if s.module == nil || s.kind == stop {
		return -1
	}
	return int64(s.module.Order)
}

// plan says what to do, in order: what is to go or to stop first, since what comes may
// want its ports, then the modules in the order in which they are to start.
//
// A module that was told to run and is down is left alone within a revision: it ended
// as its restart policy allows, or an operator stopped it. A new revision starts it
// if its policy never leaves it down. A one-shot that is done is not run again.
func plan(d *manifest.Deployment, have []wire.Module, memory *Memory) []step {
	wanted := make(map[string]bool, len(d.Modules))
	for _, m := range d.Modules {
		wanted[m.Spec.Name] = true
	}
	there := make(map[string]*wire.Module, len(have))
	var steps []step
	for i := range have {
		m := &have[i]
		there[m.Name] = m
		if !wanted[m.Name] && m.Name != module.AgentName {
			steps = append(steps, step{kind: remove, name: m.Name})
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.name, b.name) })
	for i := range d.Modules {
		m := &d.Modules[i]
		if s, ok := stepFor(m, there[m.Spec.Name], d.Revision, memory); ok {
			steps = append(steps, s)
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(a.order(), b.order()) })
	return steps
}

func stepFor(m *manifest.Module, is *wire.Module, revision string, memory *Memory) (step, bool) {
	wish := viewOfSpec(&m.Spec)
	s := step{name: m.Spec.Name, run: m.Run, wish: digest(wish), module: m}
	if is == nil {
		s.kind, s.spec = create, &m.Spec
		return s, true
	}
	seen := viewOf(is)
	s.made = digest(seen)
	done, known := memory.Modules[s.name]
	known = known && done.Wish == s.wish && done.Made == s.made
	if !known && s.made != s.wish {
		s.kind, s.spec = update, &m.Spec
		return s, true
	}
	running := is.Status.RuntimeStatus.Status == string(module.Running)
	told := known && done.Run
	switch {
	case m.Run && !running && (!told || m.KeepUp && memory.Revision != revision):
		s.kind = start
	case !m.Run && (running || !known || done.Run):
		// Told even when it is down: its restart policy may be about to start it.
		s.kind = stop
	case m.Run && !told:
		s.kind = note
	default:
		return step{}, false
	}
	return s, true
}
