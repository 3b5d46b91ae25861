package identity

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
)

// Deriver makes secrets out of the device's master key: 32 bytes that depend on
// every label and on where one ends and the next begins.
type Deriver interface {
	Derive(ctx context.Context, labels ...string) ([32]byte, error)
}

// What a derived key is for; a key serves one purpose.
const (
	purposeSign    = "edged/v1/sign"
	purposeEncrypt = "edged/v1/encrypt"
)

// The two signing keys of a module, which clients name.
const (
	PrimaryKey   = "primary"
	SecondaryKey = "secondary"
)

// sealedV3 is the first byte of a ciphertext: 0x01 and 0x02 are forms that the
// protocol's first daemon wrote, whose keys were another's. After it come a nonce
// of 12 bytes, and AES-256-GCM's text and tag.
const sealedV3 = 0x03

// maxCached bounds the keys that are held ready. A device has not that many
// modules, so what is dropped at the bound is of identities that are gone.
const maxCached = 1024

// Keys signs and encrypts as modules. Which module asks is for the caller to know.
type Keys struct {
	derive Deriver

	mu    sync.RWMutex
	ready map[keyName]any // [32]byte to sign with, cipher.AEAD
}

type keyName struct{ purpose, module, generationID, key string }

// NewKeys returns Keys of a device.
func NewKeys(derive Deriver) *Keys { return &Keys{derive: derive, ready: map[keyName]any{}} }

// Sign returns the HMAC-SHA256 of data under one of the identity's two keys.
// The error for another key's name is errdefs.InvalidArgument.
func (k *Keys) Sign(ctx context.Context, id Identity, key string, data []byte) ([]byte, error) {
	if key != PrimaryKey && key != SecondaryKey {
		return nil, fmt.Errorf("keyId is %q or %q: %w", PrimaryKey, SecondaryKey, errdefs.ErrInvalidArgument)
	}
	secret, err := cached(ctx, k, keyName{purposeSign, id.Module, id.GenerationID, key}, func(b []byte) ([]byte, error) { return b, nil })
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(data)
	return mac.Sum(nil), nil
}

// Encrypt seals a text for the identity. Clients use one iv for everything, so it
// is no nonce: it is bound to the text, and who decrypts has to name it again.
func (k *Keys) Encrypt(ctx context.Context, id Identity, plaintext, iv []byte) ([]byte, error) {
	aead, err := k.aead(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 1+aead.NonceSize(), 1+aead.NonceSize()+len(plaintext)+aead.Overhead())
	out[0] = sealedV3
	nonce := out[1:]
	_, _ = rand.Read(nonce)                                     // it never fails
	return aead.Seal(out, nonce, plaintext, bound(id, iv)), nil // #nosec G407 -- the nonce is random, see above
}

// Decrypt opens what Encrypt sealed for the same identity and iv. All else is errdefs.InvalidArgument.
func (k *Keys) Decrypt(ctx context.Context, id Identity, ciphertext, iv []byte) ([]byte, error) {
	aead, err := k.aead(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(ciphertext) < 1+aead.NonceSize() || ciphertext[0] != sealedV3 {
		return nil, errUndecryptable
	}
	nonce, sealed := ciphertext[1:1+aead.NonceSize()], ciphertext[1+aead.NonceSize():]
	plaintext, err := aead.Open(nil, nonce, sealed, bound(id, iv))
	if err != nil {
		return nil, errUndecryptable
	}
	return plaintext, nil
}

// errUndecryptable says nothing of what is wrong: the text, the iv or the identity.
var errUndecryptable = fmt.Errorf("cannot decrypt: not encrypted by this module with this initializationVector: %w", errdefs.ErrInvalidArgument)

func (k *Keys) aead(ctx context.Context, id Identity) (cipher.AEAD, error) {
	return cached(ctx, k, keyName{purpose: purposeEncrypt, module: id.Module, generationID: id.GenerationID}, func(b []byte) (cipher.AEAD, error) {
		block, err := aes.NewCipher(b)
		if err != nil {
			return nil, err
		}
		return cipher.NewGCM(block)
	})
}

// bound is what a ciphertext is tied to besides its key. Each part has its length
// before it, so that no two lists of parts read the same.
func bound(id Identity, iv []byte) []byte {
	var b []byte
	for _, part := range [][]byte{[]byte(id.Module), []byte(id.GenerationID), iv} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// cached returns what make makes of a derived key, made once.
func cached[T any](ctx context.Context, k *Keys, name keyName, make func([]byte) (T, error)) (T, error) {
	k.mu.RLock()
	known, ok := k.ready[name].(T)
	k.mu.RUnlock()
	if ok {
		return known, nil
	}
	var zero T
	secret, err := k.derive.Derive(ctx, name.purpose, name.module, name.generationID, name.key)
	if err != nil {
		return zero, fmt.Errorf("cannot derive key: %w", err)
	}
	made, err := make(secret[:])
	if err != nil {
		return zero, fmt.Errorf("cannot use derived key: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.ready) >= maxCached {
		clear(k.ready)
	}
	k.ready[name] = made
	return made, nil
}
