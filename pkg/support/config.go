package support

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/pelletier/go-toml/v2"

	"github.com/edged/edged/pkg/config"
)

// Text writes a configuration as edged runs with it, redacted: the agent's environment and options are a module's, and a key store's URI may hold a PIN.
func Text(w io.Writer, cfg *config.Config) error {
	c := *cfg
	c.Agent.Env = make(map[string]string, len(cfg.Agent.Env))
	for key, value := range cfg.Agent.Env {
		if !public(key) {
			value = redacted
		}
		c.Agent.Env[key] = value
	}
	b, err := json.Marshal(options(json.RawMessage(cfg.Agent.CreateOptions)))
	if err != nil {
		return fmt.Errorf("cannot show agent.create_options: %w", err)
	}
	c.Agent.CreateOptions = string(b)
	if c.Keystore.URI != "" {
		c.Keystore.URI = redactedURI(c.Keystore.URI)
	}
	return toml.NewEncoder(w).Encode(&c)
}
