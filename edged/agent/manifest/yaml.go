package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of what a YAML text becomes: aliases let a short one mean a huge one.
const (
	maxExpanded = 4 * MaxSize
	maxValues   = 1 << 16
)

// isYAML tells the two forms apart: a manifest is an object, and JSON's begins with a brace.
func isYAML(text []byte) bool {
	first := bytes.TrimLeft(text, " \t\r\n")
	return len(first) > 0 && first[0] != '{' && first[0] != '['
}

// fromYAML makes JSON of a YAML text, so that both forms are read by the same rules.
// places says where each value stands, by its path. Numbers stay as they are written;
// names stay double when they are given twice, for the reader of JSON to find.
func fromYAML(text []byte) (out []byte, places map[string]string, err error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	if err := d.Decode(&doc); err != nil {
		return nil, nil, fmt.Errorf("it is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("it is not one YAML document: there is text behind its end")
	}
	c := &converter{places: map[string]string{}}
	if err := c.value(node{}, &doc, nil); err != nil {
		return nil, nil, fmt.Errorf("it is not YAML that a manifest can be: %w", err)
	}
	return c.out.Bytes(), c.places, nil
}

type converter struct {
	out    bytes.Buffer
	places map[string]string
	values int
}

func at(y *yaml.Node) string { return fmt.Sprintf("line %d, column %d", y.Line, y.Column) }

// value writes one value; inside are the aliases that are being followed.
func (c *converter) value(n node, y *yaml.Node, inside []*yaml.Node) error {
	if c.values++; c.values > maxValues || c.out.Len() > maxExpanded {
		return fmt.Errorf("%s: it has too many values; aliases count with what they stand for", at(y))
	}
	if _, ok := c.places[n.path]; !ok && y.Line > 0 {
		c.places[n.path] = at(y)
	}
	switch y.Kind {
	case yaml.DocumentNode:
		return c.value(n, y.Content[0], inside)
	case yaml.AliasNode:
		for _, i := range inside {
			if i == y.Alias {
				return fmt.Errorf("%s: the alias %q is inside of what it stands for", at(y), y.Value)
			}
		}
		return c.value(n, y.Alias, append(inside[:len(inside):len(inside)], y.Alias))
	case yaml.MappingNode:
		return c.mapping(n, y, inside)
	case yaml.SequenceNode:
		c.out.WriteByte('[')
		for i, item := range y.Content {
			if i > 0 {
				c.out.WriteByte(',')
			}
			if err := c.value(n.member(fmt.Sprint(i), nil), item, inside); err != nil {
				return err
			}
		}
		c.out.WriteByte(']')
		return nil
	}
	return c.scalar(y)
}

func (c *converter) mapping(n node, y *yaml.Node, inside []*yaml.Node) error {
	c.out.WriteByte('{')
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			return fmt.Errorf("%s: a name is not a text", at(key))
		case key.ShortTag() == "!!merge":
			return fmt.Errorf("%s: the merge key << is not supported", at(key))
		}
		if i > 0 {
			c.out.WriteByte(',')
		}
		c.text(key.Value)
		c.out.WriteByte(':')
		if err := c.value(n.member(key.Value, nil), value, inside); err != nil {
			return err
		}
	}
	c.out.WriteByte('}')
	return nil
}

func (c *converter) scalar(y *yaml.Node) error {
	switch y.ShortTag() {
	case "!!null":
		c.out.WriteString("null")
	case "!!bool":
		var b bool
		if err := y.Decode(&b); err != nil {
			return fmt.Errorf("%s: %q is not a truth value", at(y), y.Value)
		}
		fmt.Fprint(&c.out, b)
	case "!!int", "!!float":
		if json.Valid([]byte(y.Value)) {
			c.out.WriteString(y.Value)
			return nil
		}
		var i int64 // 0x10 and the like
		if err := y.Decode(&i); err != nil {
			return fmt.Errorf("%s: %q is not a number that JSON can hold; quote it if it is a text", at(y), y.Value)
		}
		fmt.Fprint(&c.out, i)
	case "!!binary":
		return fmt.Errorf("%s: binary data is not supported", at(y))
	default:
		c.text(y.Value)
	}
	return nil
}

func (c *converter) text(s string) {
	b, err := json.Marshal(s)
	if err != nil {
		return // a string always can
	}
	c.out.Write(b)
}
