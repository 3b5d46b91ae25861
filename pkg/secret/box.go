package secret

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// MaxSize is the most bytes of one secret.
const MaxSize = 256 << 10

// Forms of sealed text: of the device, and of one module of it. What follows is
// base64 for URLs, so that the text needs quoting nowhere.
const (
	deviceForm = "edged-secret1d-"
	moduleForm = "edged-secret1m-"
)

// Sealer binds what it seals to a context; *keystore.Sealer in the daemon.
type Sealer interface {
	Seal(plain []byte, context string) ([]byte, error)
	Open(sealed []byte, context string) ([]byte, error)
}

// Box seals secrets and opens them again.
type Box struct{ sealer Sealer }

// NewBox returns the Box of a device's key.
func NewBox(sealer Sealer) *Box { return &Box{sealer} }

// Seal returns text that only this device opens, for every module or, with a
// name, for that one alone. Errors: errdefs.InvalidArgument where there is nothing or too much to seal.
func (b *Box) Seal(plain []byte, module string) (string, error) {
	if len(plain) == 0 || len(plain) > MaxSize {
		return "", fmt.Errorf("cannot seal secret: it has %d bytes, not 1 to %d: %w", len(plain), MaxSize, errdefs.ErrInvalidArgument)
	}
	form := deviceForm
	if module != "" {
		form = moduleForm
	}
	sealed, err := b.sealer.Seal(plain, place(form, module))
	if err != nil {
		return "", fmt.Errorf("cannot seal secret: %w", err)
	}
	return form + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Open returns what Seal was given. Errors, all errdefs.InvalidArgument, say nothing of it.
func (b *Box) Open(text, module string) ([]byte, error) {
	for _, form := range []string{deviceForm, moduleForm} {
		encoded, ok := strings.CutPrefix(text, form)
		if !ok {
			continue
		}
		sealed, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
		if err != nil || strings.ContainsAny(encoded, "\r\n") {
			return nil, fmt.Errorf("sealed text was cut or changed: %w", errdefs.ErrInvalidArgument)
		}
		plain, err := b.sealer.Open(sealed, place(form, module))
		if err != nil {
			return nil, fmt.Errorf("sealed text cannot be opened: it was sealed on another device, with keys that were given up, for another module, or was changed: %w", errdefs.ErrInvalidArgument)
		}
		return plain, nil
	}
	return nil, fmt.Errorf("sealed text is not what \"edgectl secret seal\" printed: %w", errdefs.ErrInvalidArgument)
}

// place is what a text is bound to: the form, so that one cannot be made to pass for the other, and the module.
func place(form, module string) string {
	if form == deviceForm {
		return form
	}
	return form + module
}
