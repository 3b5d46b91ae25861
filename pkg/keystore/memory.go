package keystore

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
)

// Note is the name of the note by which the database remembers the keys.
const Note = "keystore"

// memory is what the database knows of the keys: nothing that is secret.
type memory struct {
	// Kind of the keystore, empty before the first start.
	Kind string `json:"kind"`
	// Check is the key check value of the root key.
	Check string `json:"check"`
	// Signers are the SHA-256 fingerprints of public keys by their names.
	Signers map[string]string `json:"signers"`
}

func recall(ctx context.Context, notes Notes) (memory, error) {
	var m memory
	text, err := notes.Note(ctx, Note)
	if err != nil || text == "" {
		return m, err
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return m, fmt.Errorf("cannot read what the database knows of the keys: %w", err)
	}
	return m, nil
}

func (m memory) write(ctx context.Context, notes Notes) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return notes.SetNote(ctx, Note, string(text))
}

// with is m and one signer more; m stays as it is until that is written.
func (m memory) with(name, print string) memory {
	m.Signers = maps.Clone(m.Signers)
	if m.Signers == nil {
		m.Signers = map[string]string{}
	}
	m.Signers[name] = print
	return m
}

// check is the key check value: it tells two root keys apart and says nothing of
// any key that is used.
func (s *Store) check(ctx context.Context) (string, error) {
	key, err := s.Derive(ctx, "keystore", "check")
	if err != nil {
		return "", err
	}
	defer clear(key[:])
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte("edged key check value"))
	return hex.EncodeToString(mac.Sum(nil)[:16]), nil
}

func fingerprint(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}
