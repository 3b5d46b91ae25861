package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxOptionDepth bounds how often createOptions may be nested. What they are kept in is
// deeper, and Go reads no JSON of more than 10,000: edged would not start again.
const MaxOptionDepth = 64

// ReadOptions reads createOptions as edged keeps them: without the members that are null,
// numbers as they are written. The error says what is wrong with the text.
func ReadOptions(raw json.RawMessage) (map[string]any, error) {
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // a size must not come back as 1e+09
	if err := d.Decode(&object); err != nil {
		return nil, fmt.Errorf("it is not a JSON object: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it is not a JSON object: there is text behind the object")
	}
	return object, dropNulls(object, MaxOptionDepth)
}

// dropNulls removes members that are null. An element of a list stays: its place counts.
// What is nested deeper than depth is an error.
func dropNulls(value any, depth int) error {
	if depth < 0 {
		return fmt.Errorf("it is nested deeper than %d times", MaxOptionDepth)
	}
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			if member == nil {
				delete(v, key)
			}
			if err := dropNulls(member, depth-1); err != nil {
				return err
			}
		}
	case []any:
		for _, element := range v {
			if err := dropNulls(element, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}
