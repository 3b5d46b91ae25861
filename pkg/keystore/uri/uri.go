// Package uri reads the URIs that say where keys are: file:///folder, tpm2: and
// pkcs11: (RFC 7512). It touches nothing of what they name.
package uri

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
)

// Kinds of places.
const (
	File  = "file"
	TPM   = "tpm2"
	Token = "pkcs11"
)

// DefaultTPM is the kernel's device that shares a TPM among programs.
const DefaultTPM = "/dev/tpmrm0"

// URI is where keys, or one key, are. Nothing in it is secret: PINs are refused.
type URI struct {
	// Kind is File, TPM or Token.
	Kind string
	// Path of a folder or file, of the TPM's device or an emulator's socket, or of the
	// token's module, which is a shared library.
	Path string
	// Handle of a persistent key in a TPM, 0 without one.
	Handle uint32
	// TokenLabel, TokenSerial or Slot choose the token: exactly one is set.
	TokenLabel, TokenSerial string
	Slot                    *int
	// Object and ID choose a key in the token. As a keystore, Object begins the
	// labels of edged's keys.
	Object string
	ID     []byte
	// PINSource is the path of the file that holds the PIN, or empty.
	PINSource string
}

// Parse reads a URI. Errors are of the class errdefs.InvalidArgument, and repeat
// nothing that could be a PIN.
func Parse(text string) (*URI, error) {
	u, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	return u, nil
}

func parse(text string) (*URI, error) {
	switch {
	case strings.HasPrefix(text, "file://"):
		path := strings.TrimPrefix(text, "file://")
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("%q is not an absolute path", path)
		}
		return &URI{Kind: File, Path: filepath.Clean(path)}, nil
	case strings.HasPrefix(text, "tpm2:"):
		return parseTPM(strings.TrimPrefix(text, "tpm2:"))
	case strings.HasPrefix(text, "pkcs11:"):
		return parseToken(strings.TrimPrefix(text, "pkcs11:"))
	}
	return nil, errors.New("want a URI that begins with file://, tpm2: or pkcs11: and says where keys are")
}

// parseTPM reads [path][?handle=0x81...].
func parseTPM(text string) (*URI, error) {
	u := &URI{Kind: TPM, Path: DefaultTPM}
	path, query, _ := strings.Cut(text, "?")
	if path = strings.TrimPrefix(path, "//"); path != "" {
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("%q is not an absolute path of a TPM, such as %s", path, DefaultTPM)
		}
		u.Path = filepath.Clean(path)
	}
	if query == "" {
		return u, nil
	}
	value, ok := strings.CutPrefix(query, "handle=")
	handle, err := strconv.ParseUint(value, 0, 32)
	if !ok || err != nil || handle>>24 != 0x81 { // TPM 2.0 Library, Part 2, 7.2: TPM_HT_PERSISTENT
		return nil, errors.New("want ?handle= and the handle of a persistent key, 0x81000000 to 0x81ffffff")
	}
	u.Handle = uint32(handle)
	return u, nil
}

func parseToken(text string) (*URI, error) {
	u := &URI{Kind: Token}
	path, query, _ := strings.Cut(text, "?")
	seen := map[string]bool{}
	for _, part := range []struct{ text, separator string }{{path, ";"}, {query, "&"}} {
		for attribute := range strings.SplitSeq(part.text, part.separator) {
			if attribute == "" {
				continue
			}
			name, escaped, _ := strings.Cut(attribute, "=")
			if seen[name] {
				return nil, fmt.Errorf("attribute %s stands there twice", name)
			}
			seen[name] = true
			value, err := url.PathUnescape(escaped)
			if err != nil {
				return nil, fmt.Errorf("attribute %s is not percent-encoded", name)
			}
			if err := u.set(name, value); err != nil {
				return nil, err
			}
		}
	}
	return u, u.checkToken()
}

// set takes over one attribute, RFC 7512, 2.3. One that is not known is an error:
// ignored, it could choose another token.
func (u *URI) set(name, value string) error {
	switch name {
	case "token":
		u.TokenLabel = value
	case "serial":
		u.TokenSerial = value
	case "slot-id":
		slot, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return errors.New("slot-id is not a number")
		}
		number := int(slot)
		u.Slot = &number
	case "object":
		u.Object = value
	case "id":
		u.ID = []byte(value)
	case "module-path":
		u.Path = value
	case "pin-source":
		u.PINSource = strings.TrimPrefix(strings.TrimPrefix(value, "file://"), "file:")
		if !filepath.IsAbs(u.PINSource) {
			return errors.New("pin-source is not the absolute path of a file")
		}
	case "pin-value":
		return errors.New("pin-value shows the PIN to everybody who reads the configuration: write it into a file that root alone may read, and name it in pin-source")
	default:
		return fmt.Errorf("attribute %q is not known here: token, serial or slot-id, object, id, module-path and pin-source are", name)
	}
	return nil
}

func (u *URI) checkToken() error {
	chosen := 0
	for _, is := range []bool{u.TokenLabel != "", u.TokenSerial != "", u.Slot != nil} {
		if is {
			chosen++
		}
	}
	if chosen != 1 {
		return errors.New("want exactly one of token, serial and slot-id to choose the token")
	}
	if !filepath.IsAbs(u.Path) {
		return errors.New("want ?module-path= and the absolute path of the token's PKCS#11 module, such as /usr/lib/softhsm/libsofthsm2.so")
	}
	return nil
}

// String says for people where it is.
func (u *URI) String() string {
	switch {
	case u.Kind == File:
		return u.Path
	case u.Kind == TPM && u.Handle != 0:
		return fmt.Sprintf("handle %#x of TPM %s", u.Handle, u.Path)
	case u.Kind == TPM:
		return "TPM " + u.Path
	}
	text := "token "
	switch {
	case u.TokenLabel != "":
		text += strconv.Quote(u.TokenLabel)
	case u.TokenSerial != "":
		text += "with serial number " + strconv.Quote(u.TokenSerial)
	default:
		text += "in slot " + strconv.Itoa(*u.Slot)
	}
	if u.Object != "" {
		text = "object " + strconv.Quote(u.Object) + " of " + text
	}
	if len(u.ID) > 0 {
		text = "id " + hex.EncodeToString(u.ID) + " of " + text
	}
	return text
}
