// Package files is the keystore of a device without a TPM and a token: the root key
// is a file that root alone may read, or a credential that the service manager
// passes (systemd.exec(5), LoadCredentialEncrypted=, which can hold it encrypted to
// the machine). Key pairs are files beside it, sealed under the root key.
package files

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/keystore/keyfile"
)

// Root is the name of the root key's file and credential.
const Root = "master"

// rootSize is the bytes of the root key as it is stored.
const rootSize = 32

// salt of HKDF-Extract, RFC 5869: it makes of the stored key the one in use.
const salt = "edged/v1 root"

// Store is a keystore of files.
type Store struct {
	path        string
	credentials string
	warn        func(format string, args ...any)

	folder *keyfile.Folder
	// credential says that the root key is the service manager's.
	credential bool
	root       []byte
}

// New returns the keystore of a folder. credentials is the folder of the service
// manager's credentials, $CREDENTIALS_DIRECTORY, or empty. Nothing is read yet.
func New(folder, credentials string, warn func(format string, args ...any)) *Store {
	return &Store{path: folder, credentials: credentials, warn: warn}
}

// Open finds or makes the root key. A credential is never made: what the service
// manager passes is the operator's.
func (s *Store) Open(_ context.Context, create bool) error {
	stored, err := s.readCredential()
	if err != nil {
		return err
	}
	s.credential = stored != nil
	// With a credential the folder may be lost with its key pairs, which the caller finds out.
	if s.folder, err = keyfile.Open(s.path, create || s.credential, s.warn); err != nil {
		return err
	}
	if stored == nil {
		stored, err = s.folder.Read(Root)
		if errdefs.IsNotFound(err) && create {
			stored, err = s.makeRoot()
		}
		if err != nil {
			return err
		}
	}
	defer clear(stored)
	if len(stored) != rootSize {
		return fmt.Errorf("%s has %d bytes, a root key has %d; restore it from a backup: %w", s.Place(""), len(stored), rootSize, errdefs.ErrFailedPrecondition)
	}
	s.root, err = hkdf.Extract(sha256.New, stored, []byte(salt))
	return err
}

func (s *Store) readCredential() ([]byte, error) {
	if s.credentials == "" {
		return nil, nil
	}
	stored, err := os.ReadFile(filepath.Join(s.credentials, Root))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read credential: %w", err)
	}
	return stored, nil
}

func (s *Store) makeRoot() ([]byte, error) {
	key := make([]byte, rootSize)
	_, _ = rand.Read(key) // never fails, crypto/rand
	return key, s.folder.Create(Root, key)
}

// MAC is HMAC-SHA256 under the root key.
func (s *Store) MAC(_ context.Context, message []byte) (sum [sha256.Size]byte, err error) {
	mac := hmac.New(sha256.New, s.root)
	mac.Write(message)
	mac.Sum(sum[:0])
	return sum, nil
}

// Signer opens, or makes, the key pair in the file of that name.
func (s *Store) Signer(_ context.Context, name string, create bool) (crypto.Signer, error) {
	aead, err := s.aead()
	if err != nil {
		return nil, err
	}
	sealed, err := s.folder.Read(name)
	if errdefs.IsNotFound(err) && create {
		return s.makeSigner(name, aead)
	}
	if err != nil {
		return nil, err
	}
	head := header(name)
	body, ok := bytes.CutPrefix(sealed, head)
	if !ok {
		return nil, fmt.Errorf("%s is not a key file of edged; restore it from a backup: %w", s.Place(name), errdefs.ErrFailedPrecondition)
	}
	der, err := aead.Open(nil, nil, body, head)
	if err != nil {
		return nil, fmt.Errorf("%s does not open with the root key: it was changed, or is of another device; restore it from a backup: %w",
			s.Place(name), errdefs.ErrFailedPrecondition)
	}
	defer clear(der)
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("cannot read key in %s: %w", s.Place(name), err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key in %s cannot sign: %w", s.Place(name), errdefs.ErrFailedPrecondition)
	}
	return signer, nil
}

func (s *Store) makeSigner(name string, aead cipher.AEAD) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	head := header(name)
	return key, s.folder.Create(name, aead.Seal(head, nil, der, head)) // #nosec G407 -- this AEAD draws its own nonce
}

// header begins a key file, and binds it to its name.
func header(name string) []byte { return []byte("edged key 1 " + name + "\n") }

func (s *Store) aead() (cipher.AEAD, error) {
	// Not a label list of package keystore: nothing that is derived there comes out the same.
	key, err := s.MAC(context.Background(), []byte("edged/v1 key files"))
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Place is the path of a key.
func (s *Store) Place(name string) string {
	switch {
	case name == "" && s.credential:
		return "credential " + filepath.Join(s.credentials, Root)
	case name == "":
		name = Root
	}
	return filepath.Join(s.path, name)
}

// Close clears the root key.
func (s *Store) Close() error {
	clear(s.root)
	if s.folder == nil {
		return nil
	}
	return s.folder.Close()
}
