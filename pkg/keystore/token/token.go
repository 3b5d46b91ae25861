// Package token is the keystore of a device with a PKCS#11 token: a smart card, a
// USB key, a network HSM. No key leaves the token: the root key answers with MACs,
// the key pairs sign.
//
// The library of a token needs C and is code of others, so it runs in a program of
// its own, edged-pkcs11, which edged starts when it needs it, kills when it hangs and
// starts again.
package token

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/keystore/token/protocol"
	"github.com/edged/edged/pkg/keystore/uri"
	"github.com/edged/edged/pkg/mountns"
)

// Notes remember small facts; the database's.
type Notes interface {
	Note(ctx context.Context, key string) (string, error)
	SetNote(ctx context.Context, key, value string) error
}

// Config is what a Store needs.
type Config struct {
	// Where is the token.
	Where *uri.URI
	// Program is the path of edged-pkcs11.
	Program string
	// Credentials is the folder of the service manager's credentials, or empty.
	Credentials string
	// MountNS is where the program runs: libraries of tokens write where they like.
	MountNS *mountns.Namespace
	Notes   Notes
	Warn    func(format string, args ...any)
}

// Store is a keystore in a token.
type Store struct {
	where       *uri.URI
	program     string
	credentials string
	mounts      *mountns.Namespace
	notes       Notes
	warn        func(format string, args ...any)

	// turn is held by whoever uses what follows: the helper does one thing at a time.
	turn    chan struct{}
	helper  *helper
	closed  bool
	failed  error // of the last start
	failure time.Time
}

// New returns the keystore of a token. Nothing is started yet.
func New(cfg Config) *Store {
	return &Store{
		where: cfg.Where, program: cfg.Program, credentials: cfg.Credentials, mounts: cfg.MountNS, notes: cfg.Notes, warn: cfg.Warn,
		turn: make(chan struct{}, 1),
	}
}

// label is how edged's keys are called in the token.
func (s *Store) label(name string) string {
	prefix := s.where.Object
	if prefix == "" {
		prefix = "edged"
	}
	if name == "" {
		name = "master"
	}
	return prefix + "-" + name
}

// Open finds or makes the root key.
func (s *Store) Open(ctx context.Context, create bool) error {
	_, err := s.call(ctx, &protocol.Request{Op: protocol.FindRoot, Label: s.label(""), Create: create})
	return err
}

// MAC is HMAC-SHA256 under the root key, in the token.
func (s *Store) MAC(ctx context.Context, message []byte) (sum [sha256.Size]byte, err error) {
	data, err := s.call(ctx, &protocol.Request{Op: protocol.MAC, Label: s.label(""), Data: message})
	if err == nil && len(data) != len(sum) {
		err = fmt.Errorf("%s gave a MAC of %d bytes: %w", s.where, len(data), errdefs.ErrInternal)
	}
	copy(sum[:], data)
	clear(data)
	return sum, err
}

// Signer opens, or makes, a key pair in the token.
func (s *Store) Signer(ctx context.Context, name string, create bool) (crypto.Signer, error) {
	return s.pair(ctx, protocol.Request{Label: s.label(name), Create: create})
}

// External opens a key pair that others made, by its label or id.
func (s *Store) External(ctx context.Context, label string, id []byte) (crypto.Signer, error) {
	return s.pair(ctx, protocol.Request{Label: label, ID: id})
}

func (s *Store) pair(ctx context.Context, which protocol.Request) (crypto.Signer, error) {
	which.Op = protocol.FindPair
	der, err := s.call(ctx, &which)
	if err != nil {
		return nil, err
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("cannot read public key of %s: %w", s.where, err)
	}
	return &signer{s, which.Label, which.ID, public}, nil
}

// signer is a key pair in the token.
type signer struct {
	store  *Store
	label  string
	id     []byte
	public crypto.PublicKey
}

// Public is an *ecdsa.PublicKey or *rsa.PublicKey.
func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign signs a digest, with RSA by PKCS #1 v1.5. Errors: errdefs.Unavailable.
func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := s.store.call(context.Background(), &protocol.Request{
		Op: protocol.Sign, Label: s.label, ID: s.id, Data: digest, Hash: uint(opts.HashFunc()),
	})
	if err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	return signature, nil
}

// Place says where a key is.
func (s *Store) Place(name string) string {
	at := *s.where
	at.Object = s.label(name)
	return at.String()
}

// call asks the helper, which is started when it does not run. One that ended since
// is started again and asked once more: each request finds what it made before.
func (s *Store) call(ctx context.Context, request *protocol.Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, s.silent()
	}
	for again := false; ; again = true {
		fresh, err := s.ready(ctx)
		if err != nil {
			return nil, err
		}
		answer, err := s.helper.ask(ctx, request)
		switch {
		case err == nil:
			if err := classError(answer); err != nil {
				if errdefs.IsUnavailable(err) {
					// The token was taken out, say: what the helper has open does not come back with it.
					s.drop()
				}
				return nil, fmt.Errorf("%s: %w", s.where, err)
			}
			return answer.Data, nil
		case late(err):
			s.drop()
			return nil, s.silent()
		case fresh || again:
			s.drop()
			return nil, fmt.Errorf("edged-pkcs11 for %s ended (%w): %w", s.where, err, errdefs.ErrUnavailable)
		}
		s.drop()
	}
}

func (s *Store) silent() error {
	return fmt.Errorf("%s does not answer: %w", s.where, errdefs.ErrUnavailable)
}

func (s *Store) drop() {
	s.helper.kill()
	s.helper = nil
}

// ready makes sure that a helper runs and is logged in; fresh says that it was
// started just now.
func (s *Store) ready(ctx context.Context) (fresh bool, err error) {
	if s.closed {
		return false, fmt.Errorf("keystore is closed: %w", errdefs.ErrUnavailable)
	}
	if s.helper != nil && s.helper.alive() {
		return false, nil
	}
	if s.helper != nil {
		s.warn("edged-pkcs11 has ended (%s); it is started again", s.helper.cmd.ProcessState)
		s.drop()
	}
	if s.failed != nil && time.Since(s.failure) < pause {
		return false, s.failed
	}
	if s.failed = s.login(ctx); s.failed != nil {
		s.failure = time.Now()
		if s.helper != nil {
			s.drop()
		}
	}
	return true, s.failed
}

func (s *Store) login(ctx context.Context) error {
	secret, err := s.readPIN()
	if err != nil {
		return err
	}
	if err := s.checkRefused(ctx, secret); err != nil {
		return err
	}
	if s.helper, err = start(s.program, s.mounts, s.warn); err != nil {
		return fmt.Errorf("cannot start edged-pkcs11, which [keystore] uri needs (%w): %w", err, errdefs.ErrUnavailable)
	}
	answer, err := s.helper.ask(ctx, &protocol.Request{Op: protocol.Open, Token: &protocol.Token{
		Module: s.where.Path, Label: s.where.TokenLabel, Serial: s.where.TokenSerial, Slot: s.where.Slot, PIN: secret.pin,
	}})
	if late(err) {
		return s.silent()
	}
	if err != nil {
		return fmt.Errorf("edged-pkcs11 for %s ended (%w): %w", s.where, err, errdefs.ErrUnavailable)
	}
	err = classError(answer)
	var no *refused
	if errors.As(err, &no) {
		err = errors.Join(err, s.rememberRefused(ctx, secret))
	}
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", s.where, err)
	}
	return nil
}

// Close ends the helper.
func (s *Store) Close() error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.closed = true
	if s.helper != nil {
		s.helper.end()
		s.helper = nil
	}
	return nil
}
