package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/module"
)

// Kinds of a Change.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Change is what a deployment does to one module.
type Change struct {
	Module string `json:"module"`
	// Kind is Added, Removed or Changed.
	Kind string `json:"kind"`
	// Image is what an added module runs, or a removed one ran.
	Image string `json:"image,omitempty"`
	// Fields are what changes of a module, "what: old -> new". Values of variables are
	// not in it: they may be secrets.
	Fields []string `json:"fields,omitempty"`
	// Made says that the module is made, for the first time or anew: not only started or
	// stopped.
	Made bool `json:"-"`
}

// Diff says what comes of a deployment where before is the one there is, nil without,
// and have are the modules that there are. Modules that no deployment named are
// removed as well: the agent's manifest is all there shall be.
func Diff(before, next *manifest.Deployment, have []wire.Module) []Change {
	old := map[string]manifest.Module{}
	for i := range have {
		m := &have[i]
		if m.Name != module.AgentName {
			old[m.Name] = asIs(m)
		}
	}
	if before != nil {
		for _, m := range before.Modules {
			old[m.Spec.Name] = m
		}
	}
	var changes []Change
	for _, m := range next.Modules {
		was, known := old[m.Spec.Name]
		delete(old, m.Spec.Name)
		if !known {
			changes = append(changes, Change{Module: m.Spec.Name, Kind: Added, Image: m.Spec.Config.Settings.Image, Made: true})
			continue
		}
		if fields, made := compare(&was, &m); len(fields) > 0 {
			changes = append(changes, Change{Module: m.Spec.Name, Kind: Changed, Fields: fields, Made: made})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		m := old[name]
		changes = append(changes, Change{Module: name, Kind: Removed, Image: m.Spec.Config.Settings.Image})
	}
	return changes
}

// unknownOrder is the start order of a module of which only edged knows, which keeps none.
const unknownOrder = 1<<32 - 2

// asIs is a module that is there as a manifest would have it.
func asIs(m *wire.Module) manifest.Module {
	return manifest.Module{
		Spec:  wire.ModuleSpec{Name: m.Name, Type: m.Type, Config: m.Config},
		Run:   m.Status.RuntimeStatus.Status == "running",
		Order: unknownOrder,
	}
}

// compare says what is other, and whether the module has to be made anew for it.
func compare(was, is *manifest.Module) (fields []string, made bool) {
	say := func(what string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			fields = append(fields, fmt.Sprintf("%s: %v -> %v", what, a, b))
		}
	}
	a, b := &was.Spec.Config.Settings, &is.Spec.Config.Settings
	say("image", a.Image, b.Image)
	if a.ImageHash != b.ImageHash {
		say("image hash", orNone(a.ImageHash), orNone(b.ImageHash))
	}
	spec := len(fields)
	say("status", running(was.Run), running(is.Run))
	if was.Order != unknownOrder {
		say("startup order", was.Order, is.Order)
		say("pull policy", was.Spec.ImagePullPolicy, is.Spec.ImagePullPolicy)
		if !reflect.DeepEqual(a.Auth, b.Auth) {
			fields = append(fields, "credentials of the registry")
		}
	}
	rest := len(fields) - spec
	say("management socket", a.Management, b.Management)
	fields = append(fields, compareSecrets(a.Secrets, b.Secrets)...)
	fields = append(fields, compareEnv(was.Spec.Config.Env, is.Spec.Config.Env)...)
	fields = append(fields, compareOptions("createOptions", object(a.CreateOptions), object(b.CreateOptions))...)
	return fields, len(fields) > rest
}

// compareSecrets names those that are other. edged does not say what was sealed.
func compareSecrets(was, is map[string]wire.Secret) []string {
	texts := func(all, other map[string]wire.Secret) map[string]string {
		m := map[string]string{}
		for name, s := range all {
			if s.Sealed == true || other[name].Sealed == true {
				s.Sealed = s.Sealed != nil
			}
			b, err := json.Marshal(s)
			if err == nil {
				m[name] = string(b)
			}
		}
		return m
	}
	return keys("secret ", texts(was, is), texts(is, was))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func running(run bool) string {
	if run {
		return "running"
	}
	return "stopped"
}

func compareEnv(was, is []wire.EnvVar) []string {
	before, after := map[string]string{}, map[string]string{}
	for _, e := range was {
		before[e.Key] = e.Value
	}
	for _, e := range is {
		after[e.Key] = e.Value
	}
	return keys("env ", before, after)
}

// keys names what was added, removed and changed, and shows no value.
func keys(prefix string, before, after map[string]string) (fields []string) {
	all := map[string]string{}
	maps.Copy(all, before)
	maps.Copy(all, after)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		old, was := before[key]
		now, is := after[key]
		switch {
		case !was:
			fields = append(fields, prefix+key+": added")
		case !is:
			fields = append(fields, prefix+key+": removed")
		case old != now:
			fields = append(fields, prefix+key+": changed")
		}
	}
	return fields
}

// object is createOptions as edged keeps them, or nil.
func object(raw json.RawMessage) map[string]any {
	o, err := wire.ReadOptions(raw)
	if err != nil {
		return nil
	}
	return o
}

// maxShown bounds one value in a diff.
const maxShown = 60

// compareOptions walks two objects; what is no object in both is shown as a whole.
func compareOptions(path string, was, is map[string]any) (fields []string) {
	all := map[string]any{}
	maps.Copy(all, was)
	maps.Copy(all, is)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		a, b, at := was[key], is[key], path+"."+key
		if reflect.DeepEqual(a, b) {
			continue
		}
		if key == "Env" {
			fields = append(fields, keys(at+" ", pairs(a), pairs(b))...)
			continue
		}
		x, isObject := a.(map[string]any)
		y, too := b.(map[string]any)
		if isObject && too {
			fields = append(fields, compareOptions(at, x, y)...)
			continue
		}
		fields = append(fields, at+": "+shown(a)+" -> "+shown(b))
	}
	return fields
}

// pairs reads a list of "NAME=value".
func pairs(v any) map[string]string {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	m := map[string]string{}
	for _, e := range list {
		if s, ok := e.(string); ok {
			name, value, _ := strings.Cut(s, "=")
			m[name] = value
		}
	}
	return m
}

func shown(v any) string {
	if v == nil {
		return "none"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	text := []rune(string(b))
	if len(text) > maxShown {
		return string(text[:maxShown]) + "…"
	}
	return string(text)
}
