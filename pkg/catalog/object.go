package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// Object is a JSON object with its members in their order; a name that comes again
// replaces the value. Values are nil, bool, string, json.Number, []any and Object.
type Object []Member

// Member is a name with its value.
type Member struct {
	Name  string
	Value any
}

// Get returns a member's value.
func (o Object) Get(name string) (any, bool) {
	for _, m := range o {
		if m.Name == name {
			return m.Value, true
		}
	}
	return nil, false
}

// count is how many values there are in one, itself included.
func count(v any) int {
	n := 1
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			n += count(item)
		}
	case Object:
		for _, m := range v {
			n += count(m.Value)
		}
	}
	return n
}

// MarshalJSON writes the members in their order.
func (o Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encode(m.Name))
		b.WriteByte(':')
		b.Write(encode(m.Value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// ParseValue reads one JSON value and nothing behind it. What would not be kept as it
// came, bytes that are not UTF-8 and halves of surrogate pairs, is refused. Errors:
// *Invalid.
func ParseValue(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, ParseError("it is not UTF-8")
	}
	if half := loneSurrogate(text); half >= 0 {
		return nil, ParseError(fmt.Sprintf("half of a surrogate pair (at byte %d)", half))
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	values := maxValues
	v, err := decode(d, &values, 0)
	if err == nil {
		if _, behind := d.Token(); !errors.Is(behind, io.EOF) {
			err = fmt.Errorf("extra data (at byte %d)", d.InputOffset())
		}
	}
	if err != nil {
		return nil, ParseError(Problem(err))
	}
	return v, nil
}

// ParseError is what is answered to a body that is no JSON.
func ParseError(problem string) *Invalid { return invalid("JSON parse error - %s", problem) }

// Problem words an error of the JSON decoder.
func Problem(err error) string {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("%s (at byte %d)", syntax.Error(), syntax.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	}
	return err.Error()
}

// Bounds of what is taken: how deep values lie in one another, of which a build needs three,
// and how many there are: one may be a byte of the body, and takes forty in memory. A build
// with ten thousand RPMs needs a hundred thousand.
const (
	maxDepth  = 64
	maxValues = 300_000
)

func decode(d *json.Decoder, left *int, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("values lie more than %d deep in one another", maxDepth)
	}
	if *left--; *left < 0 {
		return nil, fmt.Errorf("there are more than %d values", maxValues)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		object := Object{}
		at := map[string]int{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := decode(d, left, depth+1)
			if err != nil {
				return nil, err
			}
			name := key.(string) // what the decoder gives in this place
			if i, ok := at[name]; ok {
				object[i].Value = v
				continue
			}
			at[name] = len(object)
			object = append(object, Member{name, v})
		}
		_, err := d.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := decode(d, left, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	return t, nil
}

// loneSurrogate finds an escape that is half of a pair and has no other half, -1
// without one. encoding/json would put another character in its place.
func loneSurrogate(text []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(text[at:], '\\')
		if i < 0 || at+i+1 >= len(text) {
			return -1
		}
		at += i
		if text[at+1] != 'u' {
			at += 2 // also of an escaped backslash
			continue
		}
		switch r := escaped(text[at:]); {
		case r < 0xd800 || r > 0xdfff:
			at += 6
		case r < 0xdc00 && isLow(escaped(text[at+6:])):
			at += 12
		default:
			return at
		}
		at = min(at, len(text))
	}
}

func isLow(r int64) bool { return r >= 0xdc00 && r <= 0xdfff }

// escaped is the number in a \uXXXX at the beginning of b, -1 when there is none.
func escaped(b []byte) int64 {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	r, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return int64(r)
}
