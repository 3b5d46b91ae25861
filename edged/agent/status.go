package main

import (
	"reflect"
	"time"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/module"
)

// Phases of a deployment.
const (
	// phaseApplying: changes are being made for the first time.
	phaseApplying = "applying"
	// phaseApplied: every module is as the manifest has it.
	phaseApplied = "applied"
	// phaseFailed: some are not; it is tried again.
	phaseFailed = "failed"
	// phaseInvalid: the manifest is wrong, and nothing was changed.
	phaseInvalid = "invalid"
)

// Status is what status.json holds.
type Status struct {
	// Revision is the SHA-256 of the manifest that Phase is about, in hex.
	Revision string `json:"revision"`
	Phase    string `json:"phase"`
	Error    string `json:"error,omitempty"`
	// LastGood is the last revision that was applied, empty before the first.
	LastGood string `json:"lastGood,omitempty"`
	// Notices say what in the manifest has no effect.
	Notices []string `json:"notices,omitempty"`
	// Modules are those that there are and those that there shall be, by name.
	Modules map[string]ModuleStatus `json:"modules"`
	// Time is when any of this changed, RFC 3339 in UTC.
	Time string `json:"time"`
}

// ModuleStatus is one module in a Status.
type ModuleStatus struct {
	// State is edged's word: running, stopped, failed, dead, unknown; or absent.
	State string `json:"state"`
	// Error is why it is not as the manifest has it.
	Error string `json:"error,omitempty"`
}

// maxText bounds one error in a Status, which others read up to a limit.
const maxText = 2000

func bounded(err error) string {
	if err == nil {
		return ""
	}
	s := []rune(err.Error())
	if len(s) > maxText {
		s = append(s[:maxText], '…')
	}
	return string(s)
}

// modulesStatus puts together what edged says and what failed.
func modulesStatus(have []wire.Module, failed map[string]error) map[string]ModuleStatus {
	modules := map[string]ModuleStatus{}
	for _, m := range have {
		if m.Name != module.AgentName {
			modules[m.Name] = ModuleStatus{State: m.Status.RuntimeStatus.Status}
		}
	}
	for name, err := range failed {
		s, ok := modules[name]
		if !ok {
			s.State = "absent"
		}
		s.Error = bounded(err)
		modules[name] = s
	}
	return modules
}

// statusKeeper writes a Status when it changes, and only then: flash wears.
type statusKeeper struct {
	path    string
	current Status
	written bool
}

func (k *statusKeeper) set(next Status) error {
	next.Time = k.current.Time
	if k.written && reflect.DeepEqual(next, k.current) {
		return nil
	}
	next.Time = time.Now().UTC().Format(time.RFC3339)
	k.current = next
	err := writeJSON(k.path, next, 0o644)
	k.written = err == nil
	return err
}
