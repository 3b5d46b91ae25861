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
	dropNulls(object)
	return json.Marshal(object)
}

func optionsError(err error) error {
	return fmt.Errorf("invalid settings.createOptions: it is not a JSON object: %w: %w", err, errdefs.ErrInvalidArgument)
}

// dropNulls removes members that are null. An element of a list stays: its place counts.
func dropNulls(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			if member == nil {
				delete(v, key)
			}
			dropNulls(member)
		}
	case []any:
		for _, element := range v {
			dropNulls(element)
		}
	}
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
