package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/edged/edged/pkg/lazyregexp"
)

// part is the name of a further piece of createOptions: twins limit the length of
// one string, so authors cut long ones.
var part = lazyregexp.New(`^createOptions(\d{2})$`)

// createOptions reads the options of a module, an object or its text, the text
// perhaps in pieces, and puts the manifest's restart policy into them. It returns
// the object and the name of the policy that holds.
func (p *parser) createOptions(n node, o *object, policy string) (json.RawMessage, string) {
	whole, found := o.take("createOptions")
	text := ""
	switch {
	case !found:
		whole = n.member("createOptions", nil)
	case whole.raw[0] == '"':
		text = p.text(whole)
	default:
		text = string(whole.raw)
	}
	for i := 1; ; i++ {
		piece, more := o.take(fmt.Sprintf("createOptions%02d", i))
		if !more {
			break
		}
		if found && whole.raw[0] != '"' {
			p.problem(piece, "continues createOptions, which is not a string")
			return nil, ""
		}
		if !found {
			p.problem(piece, "continues createOptions, which is missing")
			return nil, ""
		}
		text += p.text(piece)
	}
	for _, m := range o.rest() {
		if part().MatchString(m.name) {
			p.problem(m, "continues createOptions, but a piece before it is missing")
		}
	}
	if strings.TrimSpace(text) == "" {
		text = "{}"
	}
	options, err := decodeObject([]byte(text))
	if err != nil {
		p.problem(whole, "is not a JSON object: %v", err)
		return nil, ""
	}
	name, err := mergePolicy(options, policy)
	if err != nil {
		p.problem(whole, "%v", err)
		return nil, ""
	}
	if choosesItsPlace(options) {
		p.notice(whole, `HostConfig.Privileged with HostConfig.CgroupnsMode "host": it can put itself into any module's control group and then is that module to edged, as root of the host could`)
	}
	out, err := json.Marshal(options)
	if err != nil {
		p.problem(whole, "cannot be encoded again: %v", err)
		return nil, ""
	}
	return out, name
}

// decodeObject keeps numbers as they are written: a size must not become 1e+09.
func decodeObject(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var o map[string]any
	if err := d.Decode(&o); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("there is text behind the object")
	}
	if o == nil {
		o = map[string]any{}
	}
	return o, nil
}

// mergePolicy makes the manifest's restart policy that of createOptions, which edged
// reads. Where the manifest has none theirs holds, and without either "always" does,
// as manifests have it. Docker does not tell the case of names apart, so they are
// found in any.
func mergePolicy(options map[string]any, policy string) (string, error) {
	host, err := member(options, "HostConfig")
	if err != nil {
		return "", err
	}
	given, err := member(host, "RestartPolicy")
	if err != nil {
		return "", fmt.Errorf("HostConfig: %w", err)
	}
	nameKey, err := find(given, "Name")
	if err != nil {
		return "", fmt.Errorf("HostConfig.RestartPolicy: %w", err)
	}
	had, _ := given[nameKey].(string)
	want := policy
	switch {
	case policy == "never":
		want = "no"
	case policy == "" && had != "":
		return had, nil
	case policy == "":
		want = "always"
	}
	if want != had {
		// MaximumRetryCount was the other policy's.
		clear(given)
		given[nameKey] = want
	}
	return want, nil
}

// choosesItsPlace says that a module sees the whole hierarchy of control groups and may write
// to it, by which edged knows who calls.
func choosesItsPlace(options map[string]any) bool {
	host, err := member(options, "HostConfig")
	if err != nil {
		return false
	}
	value := func(name string) any {
		key, err := find(host, name)
		if err != nil {
			return nil // edged refuses what is given twice
		}
		return host[key]
	}
	return value("Privileged") == true && value("CgroupnsMode") == "host"
}

// find returns the name under which a member is there, in any case, or the name itself.
func find(o map[string]any, name string) (string, error) {
	found := ""
	for key := range o {
		if strings.EqualFold(key, name) {
			if found != "" {
				return "", fmt.Errorf("%s is given twice, as %q and %q", name, min(found, key), max(found, key))
			}
			found = key
		}
	}
	if found == "" {
		found = name
	}
	return found, nil
}

// member returns an object inside an object, made when it is absent or null.
func member(o map[string]any, name string) (map[string]any, error) {
	key, err := find(o, name)
	if err != nil {
		return nil, err
	}
	switch v := o[key].(type) {
	case map[string]any:
		return v, nil
	case nil:
		m := map[string]any{}
		o[key] = m
		return m, nil
	default:
		return nil, fmt.Errorf("%s is not an object", name)
	}
}
