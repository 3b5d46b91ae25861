package engine

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
)

// schema is what Docker's types know below one place in createOptions.
type schema struct {
	// fields are an object's, by lower-case name: encoding/json does not tell case apart either.
	fields map[string]*schema
	// each is what elements of a list or values of a map are.
	each *schema
}

// knownFields is read from the types once: doing so costs more than all else that
// is done to a module's options.
var knownFields = sync.OnceValue(func() *schema { return schemaOf(reflect.TypeFor[options]()) })

// treatments finds rows of the table by lower-case path.
var treatments = sync.OnceValue(func() map[string]*Option {
	m := make(map[string]*Option, len(optionTable))
	for i := range optionTable {
		m[strings.ToLower(optionTable[i].Name)] = &optionTable[i]
	}
	return m
})

func schemaOf(t reflect.Type) *schema {
	if t.Kind() == reflect.Pointer {
		return schemaOf(t.Elem())
	}
	p := reflect.PointerTo(t)
	if p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return &schema{} // it reads itself
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		return &schema{each: schemaOf(t.Elem())}
	case reflect.Struct:
		s := &schema{fields: map[string]*schema{}}
		for _, f := range reflect.VisibleFields(t) {
			if !f.IsExported() || f.Anonymous {
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				name = f.Name
			}
			s.fields[strings.ToLower(name)] = schemaOf(f.Type)
		}
		return s
	}
	return &schema{}
}

// walk goes through createOptions beside the types: it returns the paths that
// Docker does not know, at every depth, and refuses what the table refuses and names
// that stand there twice, of which the decoder would take either.
func (s *schema) walk(path string, value any, unknown *[]string) error {
	switch v := value.(type) {
	case map[string]any:
		if s.fields == nil {
			return s.walkEach(path, v, unknown)
		}
		seen := make(map[string]string, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			lower, name := strings.ToLower(key), join(path, key)
			if other, twice := seen[lower]; twice {
				return fmt.Errorf("invalid createOptions.%s: it is given twice, as %q and %q: %w", name, other, key, errdefs.ErrInvalidArgument)
			}
			seen[lower] = key
			below, known := s.fields[lower]
			row := treatments()[strings.ToLower(name)]
			switch {
			case row != nil && row.Treatment == Refused && !asksNothing(v[key]):
				return fmt.Errorf("createOptions.%s is not supported: %s: %w", name, row.Note, errdefs.ErrInvalidArgument)
			case known:
				if err := below.walk(name, v[key], unknown); err != nil {
					return err
				}
			case row == nil:
				*unknown = append(*unknown, name)
			}
		}
	case []any:
		for i, element := range v {
			if s.each == nil {
				break
			}
			if err := s.each.walk(fmt.Sprintf("%s[%d]", path, i), element, unknown); err != nil {
				return err
			}
		}
	}
	return nil
}

// walkEach goes through a map, whose keys are the caller's.
func (s *schema) walkEach(path string, v map[string]any, unknown *[]string) error {
	if s.each == nil || s.each.fields == nil && s.each.each == nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(v)) {
		if err := s.each.walk(join(path, key), v[key], unknown); err != nil {
			return err
		}
	}
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// asksNothing says whether a value is what clients send that fill in every field.
func asksNothing(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case bool:
		return !x
	case float64:
		return x == 0
	case string:
		return x == ""
	case []any:
		return !slices.ContainsFunc(x, func(e any) bool { n, ok := e.(float64); return !ok || n != 0 })
	case map[string]any:
		return len(x) == 0
	}
	return false
}
