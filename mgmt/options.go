package mgmt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/client/wire"
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
	object, err := wire.ReadOptions(raw)
	if err != nil {
		return nil, optionsError(err)
	}
	return json.Marshal(object)
}

func optionsError(err error) error {
	return fmt.Errorf("invalid settings.createOptions: %w: %w", err, errdefs.ErrInvalidArgument)
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
