package pack

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"aead.dev/minisign"
)

// MaxSignature is the most bytes of a signature's text.
const MaxSignature = 8 << 10

// Signed is what a signature that was verified says.
type Signed struct {
	// KeyID is the key's, as minisign prints it.
	KeyID string
	// Comment is the trusted comment, which is signed too.
	Comment string
	// Counter is "counter:N" of the trusted comment or, without one, "timestamp:N", the
	// time of signing that minisign writes. Counted is false when there is neither.
	Counter int64
	Counted bool
}

// Key is a public key that is trusted.
type Key struct {
	// File is where it was read.
	File string
	key  minisign.PublicKey
}

// ID is the key's id, as minisign prints it.
func (k Key) ID() string { return keyID(k.key.ID()) }

func keyID(id uint64) string { return fmt.Sprintf("%016X", id) }

// ParseKey reads a public key as minisign writes it.
func ParseKey(file string, text []byte) (Key, error) {
	k := Key{File: file}
	if err := k.key.UnmarshalText([]byte(strings.TrimSpace(string(text)))); err != nil {
		return Key{}, fmt.Errorf("cannot read public key %s: %w", file, err)
	}
	return k, nil
}

// Verify reads r to its end and holds it against a signature in minisign's format by one
// of the keys. Errors: *Error (Untrusted), else the reader's.
func Verify(r io.Reader, signature []byte, keys []Key) (*Signed, error) {
	if len(signature) > MaxSignature {
		return nil, fault(Untrusted, "its signature is larger than %d bytes", MaxSignature)
	}
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return nil, fault(Untrusted, "its signature is none of minisign's: %w", err)
	}
	if s.Algorithm != minisign.HashEdDSA {
		// It is over the message itself, all of which would have to be held in memory.
		return nil, fault(Untrusted, "its signature is of minisign's legacy kind: sign with a hash (minisign -S, or -SH before 0.10)")
	}
	message := minisign.NewReader(r)
	hashed := false
	for _, k := range keys {
		if k.key.ID() != s.KeyID {
			continue
		}
		if !hashed {
			if _, err := io.CopyBuffer(onlyWriter{io.Discard}, message, make([]byte, 256<<10)); err != nil {
				return nil, fmt.Errorf("cannot read what is signed: %w", err)
			}
			hashed = true
		}
		if message.Verify(k.key, signature) {
			return signed(&s), nil
		}
	}
	if !hashed {
		return nil, fault(Untrusted, "its signature is by the key %s, which is not trusted here", keyID(s.KeyID))
	}
	return nil, fault(Untrusted, "its signature is wrong: the package, or the comment, is not what the key %s signed", keyID(s.KeyID))
}

func signed(s *minisign.Signature) *Signed {
	out := &Signed{KeyID: keyID(s.KeyID), Comment: s.TrustedComment}
	for _, name := range []string{"counter:", "timestamp:"} {
		for _, word := range strings.Fields(s.TrustedComment) {
			text, ok := strings.CutPrefix(word, name)
			if !ok {
				continue
			}
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
				out.Counter, out.Counted = n, true
				return out
			}
		}
	}
	return out
}
