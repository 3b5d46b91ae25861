package keystore

import (
	"context"
	"crypto"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
)

// KeySize is the bytes of a derived key.
const KeySize = 32

// Backend is where keys are. Errors are of the class errdefs.NotFound where a key
// is not there and was not to be made, errdefs.Unavailable where it may be there
// and cannot be asked now.
type Backend interface {
	// Open finds the root key. With create one is made where there is none.
	Open(ctx context.Context, create bool) error
	// MAC is HMAC-SHA256 of message under the root key. For one key a message is
	// used for one purpose only: Derive sees to that.
	MAC(ctx context.Context, message []byte) ([KeySize]byte, error)
	// Signer finds the key pair of a name, as Open does the root key.
	Signer(ctx context.Context, name string, create bool) (crypto.Signer, error)
	// Place says for people where a key is: a path, a token, a TPM. Empty is the root key.
	Place(name string) string
	Close() error
}

// Notes remember small facts; the database's.
type Notes interface {
	// Note is empty where nothing was written.
	Note(ctx context.Context, key string) (string, error)
	SetNote(ctx context.Context, key, value string) error
}

// Store is the open keystore. Its methods may be called by many goroutines.
type Store struct {
	backend Backend
	notes   Notes

	mu       sync.Mutex
	memory   memory
	signers  map[string]crypto.Signer
	closeErr func() error
}

// New opens what a backend of a kind ("file", "tpm2", "pkcs11") keeps, and makes it
// on the device's first start. Errors: errdefs.FailedPrecondition where the keys are
// not those that the device had, with the cure; else the backend's.
func New(ctx context.Context, kind string, backend Backend, notes Notes) (*Store, error) {
	s := &Store{backend: backend, notes: notes, signers: map[string]crypto.Signer{}, closeErr: sync.OnceValue(backend.Close)}
	if err := s.open(ctx, kind); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, kind string) error {
	var err error
	if s.memory, err = recall(ctx, s.notes); err != nil {
		return err
	}
	known := s.memory.Kind != ""
	if known && s.memory.Kind != kind {
		return fmt.Errorf("cannot use keystore %s: this device's keys were made in a keystore of kind %q, [keystore] uri names one of kind %q; set it back, %s: %w",
			s.backend.Place(""), s.memory.Kind, kind, beginAnew, errdefs.ErrFailedPrecondition)
	}
	err = s.backend.Open(ctx, !known)
	if known && errdefs.IsNotFound(err) {
		return fmt.Errorf("cannot open keystore: the root key %s is not there, and this device had one; restore it from a backup, %s: %w",
			s.backend.Place(""), beginAnew, errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return fmt.Errorf("cannot open keystore: %w", err)
	}
	check, err := s.check(ctx)
	if err != nil {
		return fmt.Errorf("cannot open keystore: %w", err)
	}
	if !known {
		// gofail: var keystoreAfterRoot struct{}
		s.memory = memory{Kind: kind, Check: check, Signers: map[string]string{}}
		return s.memory.write(ctx, s.notes)
	}
	if s.memory.Check != check {
		return fmt.Errorf("cannot open keystore: the root key %s is not the one that this device had; restore it from a backup, %s: %w",
			s.backend.Place(""), beginAnew, errdefs.ErrFailedPrecondition)
	}
	return nil
}

// beginAnew is the way out where there is no backup.
const beginAnew = `or give up what it protects (registry passwords, data that modules encrypted, the device CA) with "edged --new-keys"`

// Derive returns a key of its own for each list of labels: ("ab", "c") and
// ("a", "bc") differ, as do ("a") and ("a", ""). The first label is the purpose.
// Errors: errdefs.InvalidArgument without labels, errdefs.Unavailable where the
// keystore cannot be asked. A caller that asks often keeps the key; with a token
// each call is one to it.
//
// It is HKDF-Expand of RFC 5869 with SHA-256 and an output of one block, which is
// one HMAC: so a token can do it without giving its key away.
func (s *Store) Derive(ctx context.Context, labels ...string) ([KeySize]byte, error) {
	if len(labels) == 0 {
		return [KeySize]byte{}, fmt.Errorf("cannot derive key: no labels: %w", errdefs.ErrInvalidArgument)
	}
	key, err := s.backend.MAC(ctx, append(encode(labels), 1))
	if err != nil {
		return key, fmt.Errorf("cannot derive key: %w", err)
	}
	return key, nil
}

// Signer returns the P-256 key pair of a name (letters, digits and "-"), which is
// made when it is asked for first. Errors: errdefs.FailedPrecondition where it is
// gone or another than it was, with the cure; errdefs.Unavailable.
func (s *Store) Signer(ctx context.Context, name string) (crypto.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if signer := s.signers[name]; signer != nil {
		return signer, nil
	}
	want, known := s.memory.Signers[name]
	signer, err := s.backend.Signer(ctx, name, !known)
	if known && errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("cannot use key %s: %s is not there, and this device had it; restore it from a backup, %s: %w",
			name, s.backend.Place(name), beginAnew, errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use key %s: %w", name, err)
	}
	got, err := fingerprint(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("cannot use key %s: %w", name, err)
	}
	if known && got != want {
		return nil, fmt.Errorf("cannot use key %s: %s is not the one that this device had; restore it from a backup, %s: %w",
			name, s.backend.Place(name), beginAnew, errdefs.ErrFailedPrecondition)
	}
	if !known {
		// gofail: var keystoreAfterSigner struct{}
		if err := s.memory.with(name, got).write(ctx, s.notes); err != nil {
			return nil, err
		}
		s.memory = s.memory.with(name, got)
	}
	s.signers[name] = signer
	return signer, nil
}

// Place says for people where the root key is.
func (s *Store) Place() string { return s.backend.Place("") }

// Kind is "file", "tpm2" or "pkcs11".
func (s *Store) Kind() string { return s.memory.Kind }

// Close clears keys from memory, where Go allows. Signers are of no use after it.
func (s *Store) Close() error { return s.closeErr() }
