package manifest

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/edged/edged/pkg/lazyregexp"
)

// node is a value inside the manifest and where it stands.
type node struct {
	path string
	// name is the member's name inside its object.
	name string
	raw  json.RawMessage
}

func (n node) where() string {
	if n.path == "" {
		return "the manifest"
	}
	return n.path
}

var simple = lazyregexp.New(`^[A-Za-z0-9_$-]+$`)

// member is a node's path made longer. Names with characters that would make the
// path unclear are quoted, but for the one that every manifest has.
func (n node) member(name string, raw json.RawMessage) node {
	path := name
	if name != "properties.desired" && !simple().MatchString(name) {
		path = "[" + strconv.QuoteToASCII(name) + "]"
	} else if n.path != "" {
		path = "." + name
	}
	return node{path: n.path + path, name: name, raw: raw}
}

func (n node) isNull() bool { return string(bytes.TrimSpace(n.raw)) == "null" }

// object is the members of an object in their order; take removes the ones that
// are understood.
type object struct{ members []node }

// take returns a member and removes it. One that is null counts as absent.
func (o *object) take(name string) (node, bool) {
	for i, m := range o.members {
		if m.name == name {
			o.members = append(o.members[:i:i], o.members[i+1:]...)
			return m, !m.isNull()
		}
	}
	return node{}, false
}

// rest are the members that nobody took.
func (o *object) rest() []node { return o.members }

// object reads a node that has to be an object. A name given twice is a problem: of
// two modules with one name encoding/json would silently keep the later.
func (p *parser) object(n node) (*object, bool) {
	d := json.NewDecoder(bytes.NewReader(n.raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		p.problem(n, "is not an object")
		return nil, false
	}
	o := &object{}
	seen := map[string]bool{}
	for d.More() {
		// The syntax was checked as a whole, so neither of these can fail.
		key, err := d.Token()
		if err != nil {
			p.problem(n, "is not an object: %v", err)
			return nil, false
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			p.problem(n, "is not an object: %v", err)
			return nil, false
		}
		name, _ := key.(string)
		m := n.member(name, raw)
		if seen[name] {
			p.problem(m, "is given twice")
			continue
		}
		seen[name] = true
		o.members = append(o.members, m)
	}
	return o, true
}

// text reads a string; anything else is a problem and "". An absent node is "".
func (p *parser) text(n node) string {
	var s string
	if n.raw != nil && (n.raw[0] != '"' || json.Unmarshal(n.raw, &s) != nil) {
		p.problem(n, "is not a string")
	}
	return s
}

// word reads one of a few words, in any case; the first is the default.
func (p *parser) word(o *object, name string, words ...string) string {
	n, ok := o.take(name)
	if !ok {
		return words[0]
	}
	given := p.text(n)
	for _, w := range words {
		if strings.EqualFold(given, w) && w != "" {
			return w
		}
	}
	if n.raw[0] == '"' {
		p.problem(n, "is %q; known are %s", given, strings.Join(trimEmpty(words), ", "))
	}
	return words[0]
}

func trimEmpty(words []string) []string {
	if words[0] == "" {
		return words[1:]
	}
	return words
}
