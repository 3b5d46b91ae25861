package manifest

import (
	"encoding/json"

	"github.com/edged/edged/pkg/client/wire"
)

// secrets reads {"NAME": {"sealed": "..."} | {"file": "..."}}. What the members are to
// hold edged says; what nobody knows is told of here.
func (p *parser) secrets(n node) map[string]wire.Secret {
	o, ok := p.object(n)
	if !ok {
		return nil
	}
	secrets := map[string]wire.Secret{}
	for _, m := range o.rest() {
		if m.isNull() {
			continue
		}
		v, ok := p.object(m)
		if !ok {
			continue
		}
		var s wire.Secret
		for _, text := range []struct {
			name string
			to   *string
		}{{"file", &s.File}, {"path", &s.Path}, {"mode", &s.Mode}} {
			if value, ok := v.take(text.name); ok {
				*text.to = p.text(value)
			}
		}
		if sealed, ok := v.take("sealed"); ok {
			s.Sealed = p.text(sealed)
		}
		for _, id := range []struct {
			name string
			to   **uint32
		}{{"uid", &s.UID}, {"gid", &s.GID}} {
			if value, ok := v.take(id.name); ok && json.Unmarshal(value.raw, id.to) != nil {
				p.problem(value, "is not a whole number from 0 on")
			}
		}
		p.unknown(v)
		secrets[m.name] = s
	}
	return secrets
}
