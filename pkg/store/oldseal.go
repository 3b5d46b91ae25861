package store

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
)

// oldVersion is the first byte of what was sealed before there was a keystore:
// AES-256-GCM under a key in a file of its own.
const oldVersion = 1

// fileSealer opens such values. None is made any more.
type fileSealer struct{ aead cipher.AEAD }

// openFileSealer reads the key, nil where there is no file.
func openFileSealer(path string) (*fileSealer, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read sealing key: %w", err)
	}
	defer clear(key)
	if len(key) != 32 {
		return nil, fmt.Errorf("cannot use sealing key %s: it has %d bytes, not 32; restore it from a backup, %s: %w", path, len(key), giveUp, errdefs.ErrFailedPrecondition)
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

// Open returns the secret.
func (s *fileSealer) Open(sealed []byte, context string) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed[1:], []byte(context))
	if err != nil {
		return nil, fmt.Errorf("it was changed, is not in its place, or was sealed with another key: %w", errdefs.ErrFailedPrecondition)
	}
	return plain, nil
}

// remove removes the key, which nothing needs any more.
func (s *fileSealer) remove(path string) error {
	if s == nil {
		return nil
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("cannot remove sealing key: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a change of names outlive a power cut.
func syncFolder(dir string) error {
	f, err := os.Open(dir) // #nosec G304 -- edged's own
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
