package wire

import (
	"encoding/json"
	"strconv"

	"github.com/edged/edged/pkg/lazyregexp"
)

// part is the name of a further piece of createOptions; encoding/json does not tell case apart either.
var part = lazyregexp.New(`(?i)^createOptions(\d{2})$`)

// UnmarshalJSON gathers the pieces of createOptions, whose names are no fixed fields.
func (s *Settings) UnmarshalJSON(b []byte) error {
	type plain Settings
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, (*plain)(s)); err != nil {
		return err
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	for name, value := range all {
		m := part().FindStringSubmatch(name)
		if m == nil || string(value) == "null" {
			continue
		}
		if s.CreateOptionsParts == nil {
			s.CreateOptionsParts = map[int]json.RawMessage{}
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return err
		}
		s.CreateOptionsParts[n] = value
	}
	return nil
}
