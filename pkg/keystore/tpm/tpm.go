// Package tpm is the keystore of a device with a TPM 2.0. The root key is sealed in
// it, opened at the start through a session that is encrypted, and used in memory:
// hardware TPMs need longer for one HMAC than edged for a thousand requests. Key
// pairs that sign never leave the TPM.
//
// No key has a password or a policy on the state of the boot: a device without an
// operator has to start by itself, after an update of its firmware too. What the TPM
// adds is that a copied disk opens nowhere else.
package tpm

import (
	"context"
	"crypto"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/edged/edged/pkg/keystore/keyfile"
)

// prefix of the names of files that hold what the TPM made: it has no room for them.
const prefix = "tpm-"

// root is the file of the sealed root key.
const root = "master"

// salt of HKDF-Extract, RFC 5869.
const salt = "edged/v1 tpm root"

// Store is a keystore in a TPM.
type Store struct {
	path string
	dir  string
	warn func(format string, args ...any)

	folder *keyfile.Folder
	device *device
	root   []byte
}

// New returns the keystore of the TPM at device, the kernel's /dev/tpmrm0 or an
// emulator's socket, which is then edged's alone. What the TPM made is kept in files
// of folder: nobody else can use them. Nothing is opened yet.
func New(device, folder string, warn func(format string, args ...any)) *Store {
	return &Store{path: device, dir: folder, warn: warn}
}

// Open finds or makes the root key.
func (s *Store) Open(ctx context.Context, create bool) error {
	var err error
	if s.folder, err = keyfile.Open(s.dir, create, s.warn); err != nil {
		return err
	}
	if err := s.Connect(); err != nil {
		return err
	}
	b, err := s.read(root)
	var stored []byte
	switch {
	case errdefs.IsNotFound(err) && create:
		stored, err = s.makeRoot(ctx)
	case err == nil:
		stored, err = use(ctx, s.device, func(t transport.TPM) ([]byte, error) { return unseal(t, b, s.path) })
	}
	if err != nil {
		return err
	}
	defer clear(stored)
	s.root, err = hkdf.Extract(sha256.New, stored, []byte(salt))
	return err
}

// Connect opens the TPM alone, for External.
func (s *Store) Connect() (err error) {
	s.device, err = openDevice(s.path)
	return err
}

func (s *Store) makeRoot(ctx context.Context) ([]byte, error) {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails, crypto/rand
	b, err := use(ctx, s.device, func(t transport.TPM) (*blob, error) { return create(t, sealedTemplate(), key) })
	if err != nil {
		return nil, err
	}
	return key, s.write(root, b)
}

// blob is what the TPM gives out of a key, for nobody but itself.
type blob struct {
	// Parent is the name (TPM 2.0 Library, Part 1, 16) of the storage key above.
	Parent  []byte `json:"parent"`
	Public  []byte `json:"public"`
	Private []byte `json:"private"`
}

func (s *Store) read(name string) (*blob, error) {
	data, err := s.folder.Read(prefix + name)
	if err != nil {
		return nil, err
	}
	b := new(blob)
	if err := json.Unmarshal(data, b); err != nil || len(b.Parent) == 0 || len(b.Public) == 0 || len(b.Private) == 0 {
		return nil, fmt.Errorf("%s is not a key file of edged; restore it from a backup: %w", s.folder.Path(prefix+name), errdefs.ErrFailedPrecondition)
	}
	return b, nil
}

func (s *Store) write(name string, b *blob) error {
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return s.folder.Create(prefix+name, data)
}

// MAC is HMAC-SHA256 under the root key.
func (s *Store) MAC(_ context.Context, message []byte) (sum [sha256.Size]byte, err error) {
	mac := hmac.New(sha256.New, s.root)
	mac.Write(message)
	mac.Sum(sum[:0])
	return sum, nil
}

// Signer opens, or makes, a key pair in the TPM.
func (s *Store) Signer(ctx context.Context, name string, make bool) (crypto.Signer, error) {
	b, err := s.read(name)
	if errdefs.IsNotFound(err) && make {
		b, err = use(ctx, s.device, func(t transport.TPM) (*blob, error) { return create(t, signingTemplate(), nil) })
		if err == nil {
			err = s.write(name, b)
		}
	}
	if err != nil {
		return nil, err
	}
	return newSigner(ctx, s.device, b)
}

// External opens a key pair that others made, at a persistent handle of the TPM.
func (s *Store) External(ctx context.Context, handle uint32) (crypto.Signer, error) {
	return persistentSigner(ctx, s.device, tpm2.TPMHandle(handle))
}

// Place says where a key is.
func (s *Store) Place(name string) string {
	if name == "" {
		name = root
	}
	return fmt.Sprintf("%s of TPM %s", filepath.Join(s.dir, prefix+name), s.path)
}

// Close clears the root key and leaves the TPM.
func (s *Store) Close() error {
	clear(s.root)
	var err error
	if s.device != nil {
		err = s.device.close()
	}
	if s.folder != nil {
		_ = s.folder.Close()
	}
	return err
}
