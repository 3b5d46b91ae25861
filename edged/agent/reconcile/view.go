package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/edged/edged/pkg/client/wire"
)

// view is what makes two modules the same: everything that a container is made from.
// Not the pull policy and the credentials, which only matter while an image is fetched
// (a digest of a password would, besides, help to guess it).
type view struct {
	Type, Image, ImageHash string
	Options                json.RawMessage
	Management             bool
	Secrets                map[string]wire.Secret `json:",omitempty"`
	Env                    []wire.EnvVar
}

func viewOf(m *wire.Module) view { return newView(m.Type, &m.Config) }

func viewOfSpec(s *wire.ModuleSpec) view { return newView(s.Type, &s.Config) }

func newView(typ string, c *wire.Config) view {
	v := view{Type: typ, Image: c.Settings.Image, ImageHash: c.Settings.ImageHash, Management: c.Settings.Management, Secrets: c.Settings.Secrets, Env: c.Env}
	v.Options = canonical(c.Settings.CreateOptions)
	if v.Env == nil {
		v.Env = []wire.EnvVar{}
	}
	return v
}

// canonical is createOptions as edged answers with them, their names in order.
func canonical(raw json.RawMessage) json.RawMessage {
	o, err := wire.ReadOptions(raw)
	if err != nil || o == nil {
		return json.RawMessage("{}")
	}
	b, err := json.Marshal(o)
	if err != nil {
		return json.RawMessage("{}") // it was decoded just now
	}
	return b
}

func digest(v view) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "" // equal to no digest
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
