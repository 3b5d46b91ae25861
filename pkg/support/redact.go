package support

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/edged/edged/pkg/lazyregexp"
	"github.com/edged/edged/pkg/module"
)

const redacted = "[redacted]"

// harmless are variables whose values say nothing about anybody.
var harmless = []string{"PATH", "LANG", "TZ"}

// public says whether the value of a variable may be shown: those that edged sets, by their whole names.
func public(key string) bool {
	return slices.Contains(harmless, key) || slices.Contains(module.EnvironmentNames(), key)
}

// argumentLists and valueMaps are the options, at any depth, whose strings, or members' values, are a module's own words.
var (
	argumentLists = []string{"cmd", "entrypoint", "test", "shell", "onbuild", "args"}
	valueMaps     = []string{"labels", "annotations", "driveropts", "options", "storageopt", "config", "sysctls"}
)

// secretName is for members that no Docker knows; what they are called is all there is to go by.
var secretName = lazyregexp.New(`(?i)pass|secret|token|cred|auth|key|sas|cert`)

// userPart is the user of a URL, with the password.
var userPart = lazyregexp.New(`://[^/@\s"']+@`)

// options redacts createOptions. What is not JSON is not shown.
func options(raw json.RawMessage) any {
	if len(raw) == 0 {
		return struct{}{}
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return redacted
	}
	return walk("", v)
}

func walk(name string, v any) any {
	name = strings.ToLower(name)
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			if _, isText := member.(string); isText && slices.Contains(valueMaps, name) {
				v[key] = redacted
				continue
			}
			v[key] = walk(key, member)
		}
		return v
	case []any:
		for i, element := range v {
			text, isText := element.(string)
			switch {
			case isText && name == "env":
				v[i] = variable(text)
			case isText && slices.Contains(argumentLists, name):
				v[i] = redacted
			default:
				v[i] = walk(name, element)
			}
		}
		return v
	case string:
		if slices.Contains(argumentLists, name) || secretName().MatchString(name) {
			return redacted
		}
		return withoutUser(v)
	}
	return v
}

// variable redacts the value of KEY=value.
func variable(kv string) string {
	key, _, given := strings.Cut(kv, "=")
	if !given || public(key) {
		return withoutUser(kv)
	}
	return key + "=" + redacted
}

func withoutUser(s string) string { return userPart().ReplaceAllString(s, "://"+redacted+"@") }

// minSecret is the shortest value that is looked for in logs: "1" and "true" are everywhere and tell nothing.
const minSecret = 6

// secrets are the values of a spec that must not be read in its log either.
func secrets(spec *module.Spec) []string {
	var values []string
	note := func(s string) {
		if len(s) >= minSecret && !slices.Contains(values, s) {
			values = append(values, s)
		}
	}
	// Logs are scrubbed by the line, and loggers quote what they repeat.
	add := func(s string) {
		note(s)
		quoted := strconv.Quote(s)
		note(quoted[1 : len(quoted)-1])
		for line := range strings.Lines(s) {
			note(strings.TrimSpace(line))
		}
	}
	for _, v := range spec.Env {
		if !public(v.Key) {
			add(v.Value)
		}
	}
	var given struct{ Env []string }
	_ = json.Unmarshal(spec.CreateOptions, &given) // what cannot be read was not run with either
	for _, kv := range given.Env {
		if key, value, ok := strings.Cut(kv, "="); ok && !public(key) {
			add(value)
		}
	}
	if spec.Auth != nil {
		add(spec.Auth.Password)
	}
	sortSecrets(values)
	return values
}

// sortSecrets puts the longest first: one may be part of another.
func sortSecrets(values []string) {
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
}

// secretsOf are those of all modules.
func secretsOf(states []*module.State) []string {
	var values []string
	for _, s := range states {
		values = append(values, secrets(&s.Spec)...)
	}
	slices.Sort(values)
	values = slices.Compact(values)
	sortSecrets(values)
	return values
}

// without takes secrets out of a text.
func without(text string, hidden []string) string {
	for _, secret := range hidden {
		text = strings.ReplaceAll(text, secret, redacted)
	}
	return withoutUser(text)
}

// withoutAny takes them out of every text in decoded JSON.
func withoutAny(v any, hidden []string) any {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			v[key] = withoutAny(member, hidden)
		}
	case []any:
		for i, element := range v {
			v[i] = withoutAny(element, hidden)
		}
	case string:
		return without(v, hidden)
	}
	return v
}

// redactedURI keeps the scheme of a URI, which says what kind of store it is.
func redactedURI(uri string) string {
	scheme, _, ok := strings.Cut(uri, ":")
	if !ok {
		return redacted
	}
	return scheme + ":" + redacted
}
