package main

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
	"github.com/edged/edged/pkg/module"
)

// Bounds of a text in a status, which others read up to a limit: of the whole and of one module.
const (
	maxText       = 8000
	maxModuleText = 1000
)

func bounded(err error, most int) string {
	if err == nil {
		return ""
	}
	s := []rune(err.Error())
	if len(s) > most {
		s = append(s[:most], '…')
	}
	return string(s)
}

// modulesStatus puts together what edged says, what is done and what failed.
func modulesStatus(have []wire.Module, doing map[string]string, failed map[string]error) map[string]deployment.Module {
	modules := map[string]deployment.Module{}
	for i := range have {
		m := &have[i]
		if m.Name != module.AgentName {
			modules[m.Name] = deployment.Module{State: m.Status.RuntimeStatus.Status, Health: m.Status.RuntimeStatus.Health}
		}
	}
	entry := func(name string) deployment.Module {
		m, ok := modules[name]
		if !ok {
			m.State = "absent"
		}
		return m
	}
	for name, word := range doing {
		m := entry(name)
		m.Progress = word
		modules[name] = m
	}
	for name, err := range failed {
		m := entry(name)
		m.Error = bounded(err, maxModuleText)
		modules[name] = m
	}
	return modules
}

// statusKeeper writes a Status when it changes, and only then: flash wears.
type statusKeeper struct {
	path    string
	current deployment.Status
	written bool
}

func (k *statusKeeper) set(next deployment.Status) error {
	next.Time = k.current.Time
	if k.written && reflect.DeepEqual(next, k.current) {
		return nil
	}
	next.Time = now()
	k.current = next
	// Modules are many before they are too many for a reader.
	if b, err := json.MarshalIndent(next, "", "  "); err == nil && len(b) >= deployment.MaxFile {
		next.Notices, next.Modules = nil, map[string]deployment.Module{}
	}
	err := writeJSON(k.path, next, 0o640)
	k.written = err == nil
	return err
}

// now is exact, because by it whoever waits tells two tries of one manifest apart.
func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }
