package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// entry is a key that a document sets, and where.
type entry struct {
	// key is dotted; entries of arrays of tables carry their index: grant[0].users.
	key          string
	line, column int
	kind         unstable.Kind
	text         string // of a scalar
}

// schema maps each dotted key of Config to its type, tables included. The keys
// below an array of tables are written without an index.
type schema map[string]reflect.Type

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

func newSchema() schema {
	s := make(schema)
	s.add("", reflect.TypeFor[Config]())
	return s
}

func (s schema) add(prefix string, t reflect.Type) {
	for f := range t.Fields() {
		key := prefix + f.Tag.Get("toml")
		s[key] = f.Type
		below := f.Type
		if below.Kind() == reflect.Slice {
			below = below.Elem()
		}
		if below.Kind() == reflect.Struct && !isText(below) {
			s.add(key+".", below)
		}
	}
}

func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textUnmarshaler) }

// check refuses what the decoder would let pass or report without a position: a
// key in another case, and a value without quotes where a text is read.
func (s schema) check(file string, e entry) *Error {
	key := withoutIndexes(e.key)
	t, known := s[key]
	if !known {
		if parent, _, ok := strings.Cut(key, ".env."); ok && s[parent+".env"] != nil {
			return nil // a name that the user chooses
		}
		return &Error{File: file, Line: e.line, Column: e.column, Key: e.key, Message: "unknown key"}
	}
	number := t.Kind() == reflect.Int64 && e.kind == unstable.Integer
	if isText(t) && e.kind != unstable.String && !number {
		return &Error{File: file, Line: e.line, Column: e.column, Key: e.key, Message: fmt.Sprintf("want a string, not %s", article(e.kind))}
	}
	return nil
}

func article(kind unstable.Kind) string {
	switch kind {
	case unstable.Integer:
		return "an integer"
	case unstable.Array:
		return "an array"
	case unstable.Table, unstable.ArrayTable, unstable.InlineTable:
		return "a table"
	}
	return "a " + strings.ToLower(kind.String())
}

func withoutIndexes(key string) string {
	for {
		before, rest, ok := strings.Cut(key, "[")
		if !ok {
			return key
		}
		_, after, _ := strings.Cut(rest, "]")
		key = before + after
	}
}

// outline lists every key of a document in its order. tables counts, by key,
// the tables of arrays that came before it in other files. A document that is
// not TOML gives what was read up to the fault: the decoder reports it.
func outline(document []byte, tables map[string]int) []entry {
	o := outliner{tables: tables}
	o.parser.Reset(document)
	prefix := ""
	for o.parser.NextExpression() {
		node := o.parser.Expression()
		switch node.Kind {
		case unstable.Table:
			prefix = o.key("", node, node.Kind, "") + "."
		case unstable.ArrayTable:
			key := o.name("", node)
			prefix = key + o.next(key) + "."
			o.add(prefix[:len(prefix)-1], node, node.Kind, "")
		case unstable.KeyValue:
			o.keyValue(prefix, node)
		}
	}
	return o.entries
}

type outliner struct {
	parser  unstable.Parser
	tables  map[string]int
	entries []entry
}

func (o *outliner) keyValue(prefix string, node *unstable.Node) {
	value := node.Value()
	key := o.key(prefix, node, value.Kind, string(value.Data))
	switch value.Kind {
	case unstable.InlineTable:
		for it := value.Children(); it.Next(); {
			o.keyValue(key+".", it.Node())
		}
	case unstable.Array:
		for it := value.Children(); it.Next(); {
			table := it.Node()
			if table.Kind != unstable.InlineTable {
				continue
			}
			index := o.next(key)
			for in := table.Children(); in.Next(); {
				o.keyValue(key+index+".", in.Node())
			}
		}
	}
}

// next is the index of a further table in the array key.
func (o *outliner) next(key string) string {
	i := o.tables[key]
	o.tables[key]++
	return "[" + strconv.Itoa(i) + "]"
}

func (o *outliner) key(prefix string, node *unstable.Node, kind unstable.Kind, text string) string {
	key := o.name(prefix, node)
	o.add(key, node, kind, text)
	return key
}

// name is the dotted key of node. Parts are not quoted: they only find their
// way to a position and to the eyes of a person.
func (o *outliner) name(prefix string, node *unstable.Node) string {
	var parts []string
	for it := node.Key(); it.Next(); {
		parts = append(parts, string(it.Node().Data))
	}
	return prefix + strings.Join(parts, ".")
}

func (o *outliner) add(key string, node *unstable.Node, kind unstable.Kind, text string) {
	it := node.Key()
	it.Next()
	start := o.parser.Shape(it.Node().Raw).Start
	o.entries = append(o.entries, entry{key: key, line: start.Line, column: start.Column, kind: kind, text: text})
}
