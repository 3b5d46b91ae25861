package mgmt

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/module"
)

// Views keeps the JSON of each module ready, once with its environment and once
// without. A State never changes, so a view is good as long as the pointer is the same.
type Views struct{ bare, full views }

// views are those of one form; a form that nobody asks for is never made.
type views struct {
	env  bool
	mu   sync.RWMutex
	made map[string]*view
	list atomic.Pointer[listing] // the last answer of a list
}

// listing is an answer and what it was made of, which holds that slice: as long as
// the listing is there, no other slice can lie in its place.
type listing struct {
	states []*module.State
	body   []byte
}

// of says whether the answer is still that of these states. Nobody writes to the
// slice, so it is the same one or a new one.
func (l *listing) of(states []*module.State) bool {
	return l != nil && len(l.states) == len(states) && (len(states) == 0 || &l.states[0] == &states[0])
}

type view struct {
	state *module.State
	body  []byte
}

// NewViews returns an empty set.
func NewViews() *Views {
	return &Views{bare: views{made: map[string]*view{}}, full: views{env: true, made: map[string]*view{}}}
}

func (v *Views) form(env bool) *views {
	if env {
		return &v.full
	}
	return &v.bare
}

// One returns a module's JSON. The bytes are shared: do not write to them.
func (v *Views) One(state *module.State, env bool) []byte { return v.form(env).one(state) }

// List returns the answer of a list of modules, made anew when the slice is another
// than the last one. The bytes are shared: do not write to them.
func (v *Views) List(states []*module.State, env bool) []byte {
	form := v.form(env)
	made := form.list.Load()
	if !made.of(states) {
		made = &listing{states, form.join(states)}
		form.list.Store(made)
	}
	return made.body
}

func (v *views) one(state *module.State) []byte {
	name := state.Spec.Name
	v.mu.RLock()
	made := v.made[name]
	v.mu.RUnlock()
	if made == nil || made.state != state {
		made = &view{state, render(state, v.env)}
		v.mu.Lock()
		v.made[name] = made
		v.mu.Unlock()
	}
	return made.body
}

func (v *views) join(states []*module.State) []byte {
	const head, tail = `{"modules":[`, `]}`
	parts := make([][]byte, len(states))
	size := len(head) + len(tail)
	for i, s := range states {
		parts[i] = v.one(s)
		size += len(parts[i]) + 1
	}
	out := append(make([]byte, 0, size), head...)
	for i, p := range parts {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, p...)
	}
	v.forget(states)
	return append(out, tail...)
}

// forget drops the views of modules that are gone.
func (v *views) forget(states []*module.State) {
	v.mu.RLock()
	n := len(v.made)
	v.mu.RUnlock()
	if n <= len(states) {
		return
	}
	there := make(map[string]bool, len(states))
	for _, s := range states {
		there[s.Spec.Name] = true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for name := range v.made {
		if !there[name] {
			delete(v.made, name)
		}
	}
}

func render(s *module.State, env bool) []byte {
	b, err := json.Marshal(encode(s, env))
	if err != nil {
		// CreateOptions was parsed when it came in; nothing else here can fail.
		return []byte(`{}`)
	}
	return b
}

// encode gives a State the shape of the contract. No password is in it, for anybody.
func encode(s *module.State, env bool) wire.Module {
	m := wire.Module{ID: s.Spec.Name, Name: s.Spec.Name, Type: s.Spec.Type}
	settings := &m.Config.Settings
	settings.Image, settings.ImageHash, settings.Management = s.Spec.Image, s.Spec.ImageHash, s.Spec.Management
	settings.CreateOptions, settings.Secrets = s.Spec.CreateOptions, showSecrets(s.Spec.Secrets)
	if a := s.Spec.Auth; a != nil {
		settings.Auth = &wire.Auth{Username: a.Username, ServerAddress: a.ServerAddress}
	}
	m.Config.Env = []wire.EnvVar{}
	if env {
		for _, e := range s.Spec.Env {
			m.Config.Env = append(m.Config.Env, wire.EnvVar{Key: e.Key, Value: e.Value})
		}
	} else {
		settings.CreateOptions = withoutEnv(s.Spec.CreateOptions)
	}
	m.Status.RuntimeStatus = wire.RuntimeStatus{Status: string(s.Status.Runtime), Description: s.Status.Description}
	if h := s.Status.Health; h != nil {
		m.Status.RuntimeStatus.Health = string(h.Status)
	}
	if env {
		m.Status.RuntimeStatus.Description += complaint(s.Status.Health)
	}
	if !s.Status.StartTime.IsZero() {
		m.Status.StartTime = s.Status.StartTime.Format(time.RFC3339Nano)
	}
	if e := s.Status.Exit; e != nil {
		m.Status.ExitStatus = &wire.ExitStatus{ExitTime: e.Time.UTC().Format(time.RFC3339Nano), StatusCode: strconv.Itoa(e.Code)}
	}
	return m
}

// maxComplaint is how much of what a failing check printed an answer shows, in characters.
const maxComplaint = 200

// complaint is what the last check of an unhealthy module printed, on one line. It may
// hold what is nobody else's business, like the environment.
func complaint(h *module.Health) string {
	if h == nil || h.Status != module.Unhealthy || len(h.Checks) == 0 {
		return ""
	}
	text := []rune(strings.Join(strings.Fields(h.Checks[len(h.Checks)-1].Output), " "))
	if len(text) == 0 {
		return ""
	}
	if len(text) > maxComplaint {
		text = append(text[:maxComplaint], '…')
	}
	return ": " + string(text)
}
