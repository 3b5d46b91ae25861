package keystore

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/containerd/errdefs"
)

// sealVersion is the first byte of what a Sealer makes. 1 was sealed with a key in
// a file of its own, which pkg/store still reads.
const sealVersion = 2

// keyIDSize is the bytes that say under which key a value was sealed.
const keyIDSize = 4

// Sealer keeps secrets in places that are not secret: AES-256-GCM with nonces of
// its own. A sealed value is the version, the id of the key, the nonce and the
// ciphertext with its tag.
type Sealer struct {
	id   [keyIDSize]byte
	aead cipher.AEAD
}

// Sealer returns one for a purpose.
func (s *Store) Sealer(ctx context.Context, purpose string) (*Sealer, error) {
	key, err := s.Derive(ctx, "seal", purpose)
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	return NewSealer(key)
}

// NewSealer returns the sealer of a key.
func NewSealer(key [KeySize]byte) (*Sealer, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte("edged seal key id"))
	return &Sealer{id: [keyIDSize]byte(mac.Sum(nil)), aead: aead}, nil
}

// Seal binds the secret to a context, without which it does not open.
func (s *Sealer) Seal(plain []byte, context string) ([]byte, error) {
	head := append([]byte{sealVersion}, s.id[:]...)
	return s.aead.Seal(head, nil, plain, associated(head, context)), nil // #nosec G407 -- this AEAD draws its own nonce
}

// Sealed says whether a value was sealed under this sealer's key.
func (s *Sealer) Sealed(value []byte) bool {
	return len(value) > 1+keyIDSize && value[0] == sealVersion && [keyIDSize]byte(value[1:]) == s.id
}

// Open returns the secret. Errors, of the class errdefs.FailedPrecondition, say
// whether the value is of another key or was changed.
func (s *Sealer) Open(sealed []byte, context string) ([]byte, error) {
	switch {
	case len(sealed) <= 1+keyIDSize || sealed[0] != sealVersion:
		return nil, fmt.Errorf("cannot open sealed value: it is of a form that this edged does not know: %w", errdefs.ErrFailedPrecondition)
	case !s.Sealed(sealed):
		return nil, fmt.Errorf("cannot open sealed value: it was sealed with key %s, this keystore's is %s: %w",
			hex.EncodeToString(sealed[1:1+keyIDSize]), hex.EncodeToString(s.id[:]), errdefs.ErrFailedPrecondition)
	}
	head := sealed[:1+keyIDSize]
	plain, err := s.aead.Open(nil, nil, sealed[len(head):], associated(head, context))
	if err != nil {
		return nil, fmt.Errorf("cannot open sealed value: it was changed, or is not in its place: %w", errdefs.ErrFailedPrecondition)
	}
	return plain, nil
}

func associated(head []byte, context string) []byte {
	return append(append([]byte{}, head...), context...)
}
