package deployment

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ParseSecrets reads SecretsFile, an object of strings. Errors hold no value of it.
func ParseSecrets(text []byte) (map[string]string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, errors.New("secrets.json is not a JSON object")
	}
	secrets := make(map[string]string, len(members))
	for name, raw := range members {
		var value string
		if json.Unmarshal(raw, &value) != nil {
			return nil, fmt.Errorf("secrets.json: the value of %q is not a string", name)
		}
		secrets[name] = value
	}
	return secrets, nil
}
