package mgmt

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/module"
)

// Sealer makes text of a secret that only this device opens, for every module or,
// with a name, for that one. Errors: errdefs.InvalidArgument.
type Sealer interface {
	Seal(plain []byte, module string) (string, error)
}

// sealSecret answers the text and keeps nothing.
func (a *api) sealSecret(w http.ResponseWriter, r *httpapi.Request) error {
	var body wire.SealRequest
	if err := r.JSON(&body); err != nil {
		return err
	}
	plain, err := base64.StdEncoding.Strict().DecodeString(body.Value)
	if err != nil {
		return httpapi.BadRequest("invalid parameter: value: it is not standard base64 with padding")
	}
	defer clear(plain)
	name := body.Module
	if name != "" {
		if name, err = module.CanonicalName(name); err != nil {
			return err
		}
		r.Module = name // for the audit log
	}
	text, err := a.Secrets.Seal(plain, name)
	if err != nil {
		return err
	}
	httpapi.WriteJSON(w, http.StatusOK, wire.SealAnswer{Sealed: text})
	return nil
}

// readSecrets is what a spec says of secrets; what it means is for the domain to check.
func readSecrets(given map[string]wire.Secret) ([]module.Secret, error) {
	var secrets []module.Secret
	for _, name := range slices.Sorted(maps.Keys(given)) {
		s := given[name]
		one := module.Secret{Name: name, File: s.File, Path: s.Path, Mode: module.SecretMode, UID: s.UID, GID: s.GID}
		switch sealed := s.Sealed.(type) {
		case nil:
		case string:
			one.Sealed = sealed
		default: // true is what answers show
			return nil, fmt.Errorf("invalid settings.secrets[%q]: sealed is the text that \"edgectl secret seal\" printed: %w", name, errdefs.ErrInvalidArgument)
		}
		if s.Mode != "" {
			mode, err := strconv.ParseUint(s.Mode, 8, 32)
			if err != nil {
				return nil, fmt.Errorf("invalid settings.secrets[%q]: mode %q is not octal, as \"0400\": %w", name, s.Mode, errdefs.ErrInvalidArgument)
			}
			one.Mode = uint32(mode)
		}
		secrets = append(secrets, one)
	}
	return secrets, nil
}

// showSecrets names secrets; not even their sealed text is shown.
func showSecrets(secrets []module.Secret) map[string]wire.Secret {
	if len(secrets) == 0 {
		return nil
	}
	shown := make(map[string]wire.Secret, len(secrets))
	for i := range secrets {
		s := &secrets[i]
		one := wire.Secret{File: s.File, Path: s.Path, Mode: fmt.Sprintf("%04o", s.Mode), UID: s.UID, GID: s.GID}
		if s.Sealed != "" {
			one.Sealed = true
		}
		shown[s.Name] = one
	}
	return shown
}
