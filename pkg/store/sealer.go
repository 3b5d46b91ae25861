package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/edged/edged/pkg/module"
)

// Sealer keeps secrets that the database must hold. context binds a sealed value
// to its place: moved to another row it does not open.
type Sealer interface {
	Seal(plain []byte, context string) ([]byte, error)
	Open(sealed []byte, context string) ([]byte, error)
}

// sealVersion is the first byte of what fileSealer makes, so that another way of
// sealing can come beside it.
const sealVersion = 1

// fileSealer is AES-256-GCM under a key in a file that only root reads.
type fileSealer struct{ aead cipher.AEAD }

// NewFileSealer reads the key from path and makes one if there is none. A key file
// that is not a key is an error: making a new one would lose what is sealed.
func NewFileSealer(path string) (Sealer, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read sealing key: %w", err)
	}
	if len(key) != 32 {
		return nil, fmt.Errorf("cannot use sealing key %s: it has %d bytes, not 32; restore it from a backup, or remove it and the registry passwords it sealed", path, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &fileSealer{aead}, nil
}

// makeKey writes a key so that a power cut leaves all of it or nothing.
func makeKey(path string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(key)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	return key, err
}

// syncFolder makes a rename outlive a power cut.
func syncFolder(dir string) error {
	f, err := os.Open(dir) // #nosec G304 -- edged's own
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (s *fileSealer) Seal(plain []byte, context string) ([]byte, error) {
	return s.aead.Seal([]byte{sealVersion}, nil, plain, []byte(context)), nil // #nosec G407 -- this AEAD draws its own nonce
}

func (s *fileSealer) Open(sealed []byte, context string) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, errors.New("cannot open sealed value: unknown version")
	}
	return s.aead.Open(nil, nil, sealed[1:], []byte(context))
}

func authContext(name string, generation int64) string {
	return fmt.Sprintf("auth/%d/%s", generation, name)
}

func (s *Store) sealAuth(name string, generation int64, auth *module.Auth) ([]byte, error) {
	if auth == nil {
		return nil, nil
	}
	plain, err := json.Marshal(auth)
	if err != nil {
		return nil, err
	}
	return s.sealer.Seal(plain, authContext(name, generation))
}

func (s *Store) openAuth(name string, generation int64, sealed []byte) (*module.Auth, error) {
	if sealed == nil {
		return nil, nil
	}
	plain, err := s.sealer.Open(sealed, authContext(name, generation))
	if err != nil {
		return nil, fmt.Errorf("cannot open registry credentials of module %q: the sealing key is not the one they were sealed with: %w", name, err)
	}
	auth := new(module.Auth)
	return auth, json.Unmarshal(plain, auth)
}
