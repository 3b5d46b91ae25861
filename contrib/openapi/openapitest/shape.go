package openapitest

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Shape holds a schema and the Go type that is written or read by it to each other: both have
// the same members. Of an answer those that a type always has are those that the schema requires.
func (d *Document) Shape(t testing.TB, schema string, v any, answer bool) {
	t.Helper()
	ref := d.lenient.Components.Schemas[schema]
	require.NotNil(t, ref, "%s has no schema %s", d.name, schema)
	var known []string
	for name := range ref.Value.Properties {
		known = append(known, name)
	}
	members, always := members(reflect.TypeOf(v))
	require.ElementsMatch(t, members, known, "%s: the schema %s and the type %T have other members", d.name, schema, v)
	if answer {
		require.ElementsMatch(t, always, ref.Value.Required, "%s: the members that the schema %s requires and the type %T always has", d.name, schema, v)
	}
}

// members are the names that encoding/json gives the fields of a type, and those that it never leaves out.
func members(of reflect.Type) (all, always []string) {
	for field := range of.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			more, moreAlways := members(field.Type)
			all, always = append(all, more...), append(always, moreAlways...)
		case name == "-":
		default:
			all = append(all, name)
			if !slices.Contains(strings.Split(options, ","), "omitempty") {
				always = append(always, name)
			}
		}
	}
	return all, always
}
