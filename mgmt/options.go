package mgmt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
)

// canonicalOptions turns createOptions into the object that is kept and echoed:
// given as an object or as its text, without the members that are null.
func canonicalOptions(raw json.RawMessage) (json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, optionsError(err)
		}
		raw = []byte(strings.TrimSpace(text))
	}
	if len(raw) == 0 || string(raw) == "null" {
		return json.RawMessage("{}"), nil
	}
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // a size must not come back as 1e+09
	if err := d.Decode(&object); err != nil {
		return nil, optionsError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, optionsError(fmt.Errorf("there is text behind the object"))
	}
	if err := dropNulls(object, maxOptionDepth); err != nil {
		return nil, fmt.Errorf("invalid settings.createOptions: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	return json.Marshal(object)
}

func optionsError(err error) error {
	return fmt.Errorf("invalid settings.createOptions: it is not a JSON object: %w: %w", err, errdefs.ErrInvalidArgument)
}

// maxOptionDepth bounds how often createOptions may be nested. What they are kept in is
// deeper, and Go reads no JSON of more than 10,000: edged would not start again.
const maxOptionDepth = 64

// dropNulls removes members that are null. An element of a list stays: its place counts.
// What is nested deeper than depth is an error.
func dropNulls(value any, depth int) error {
	if depth < 0 {
		return fmt.Errorf("it is nested deeper than %d times", maxOptionDepth)
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

// withoutEnv is createOptions for those who are not shown environments.
func withoutEnv(raw json.RawMessage) json.RawMessage {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return json.RawMessage("{}") // kept ones are objects; if not, less is safer
	}
	for key := range object {
		if strings.EqualFold(key, "Env") {
			delete(object, key)
		}
	}
	b, err := json.Marshal(object)
	if err != nil {
		return json.RawMessage("{}")
	}
	return b
}
