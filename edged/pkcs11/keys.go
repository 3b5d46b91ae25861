//go:build cgo

package main

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"

	"github.com/edged/edged/pkg/keystore/token/protocol"
)

// idSize is the bytes of CKA_ID of keys that are made here.
const idSize = 16

// classified is an error with a class of the protocol.
type classified struct {
	error
	class string
}

// Unwrap gives the cause.
func (c *classified) Unwrap() error { return c.error }

// keys is the open token.
type keys struct {
	token *crypto11.Context
	roots map[string]*crypto11.SecretKey
	pairs map[string]crypto.Signer
}

func (k *keys) do(r *protocol.Request) ([]byte, error) {
	if r.Op == protocol.Open {
		return nil, k.open(r.Token)
	}
	if k.token == nil {
		return nil, errors.New("no token is open")
	}
	switch r.Op {
	case protocol.FindRoot:
		_, err := k.root(r.Label, r.Create)
		return nil, err
	case protocol.MAC:
		return k.mac(r.Label, r.Data)
	case protocol.FindPair:
		pair, err := k.pair(r.Label, r.ID, r.Create)
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKIXPublicKey(pair.Public())
	case protocol.Sign:
		pair, err := k.pair(r.Label, r.ID, false)
		if err != nil {
			return nil, err
		}
		signature, err := pair.Sign(rand.Reader, r.Data, crypto.Hash(r.Hash))
		if err != nil {
			return nil, classify(err)
		}
		return signature, nil
	}
	return nil, fmt.Errorf("unknown request %q", r.Op)
}

func (k *keys) open(t *protocol.Token) error {
	if t == nil || k.token != nil {
		return errors.New("a token is opened once")
	}
	token, err := crypto11.Configure(&crypto11.Config{
		Path: t.Module, TokenLabel: t.Label, TokenSerial: t.Serial, SlotNumber: t.Slot, Pin: t.PIN,
	})
	if err != nil {
		return classify(err)
	}
	k.token, k.roots, k.pairs = token, map[string]*crypto11.SecretKey{}, map[string]crypto.Signer{}
	return nil
}

// classify tells a PIN that is wrong, which must not be tried again, from a token
// that may be plugged in later.
func classify(err error) error {
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return &classified{err, protocol.Unavailable}
	}
	switch code {
	case pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE:
		return &classified{err, protocol.PINRefused}
	case pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_PIN_EXPIRED:
		return fmt.Errorf("the token's PIN is locked or has expired; set it anew with the token's own tool: %w", err)
	case pkcs11.CKR_MECHANISM_INVALID:
		return fmt.Errorf("the token lacks what edged needs (HMAC-SHA256 with generic secrets, ECDSA with P-256): %w", err)
	}
	return &classified{err, protocol.Unavailable}
}

func (k *keys) root(label string, create bool) (*crypto11.SecretKey, error) {
	if key := k.roots[label]; key != nil {
		return key, nil
	}
	found, err := k.token.FindKeys(nil, []byte(label))
	if err != nil {
		return nil, classify(err)
	}
	var key *crypto11.SecretKey
	switch {
	case len(found) == 1:
		key = found[0]
	case len(found) > 1:
		return nil, fmt.Errorf("there are %d secret keys with the label %q", len(found), label)
	case !create:
		return nil, &classified{fmt.Errorf("there is no secret key with the label %q", label), protocol.NotFound}
	default:
		// Neither can it be read, nor taken out wrapped: the defaults of the library.
		if key, err = k.token.GenerateSecretKeyWithLabel(newID(), []byte(label), 256, crypto11.CipherGeneric); err != nil {
			return nil, fmt.Errorf("cannot make secret key: %w", classify(err))
		}
	}
	k.roots[label] = key
	return key, nil
}

func (k *keys) mac(label string, data []byte) ([]byte, error) {
	key, err := k.root(label, false)
	if err != nil {
		return nil, err
	}
	mac, err := key.NewHMAC(pkcs11.CKM_SHA256_HMAC, 0)
	if err != nil {
		return nil, classify(err)
	}
	if _, err := mac.Write(data); err != nil {
		return nil, classify(err)
	}
	return mac.Sum(nil), nil
}

func (k *keys) pair(label string, id []byte, create bool) (crypto.Signer, error) {
	name := label + "\x00" + string(id)
	if pair := k.pairs[name]; pair != nil {
		return pair, nil
	}
	found, err := k.token.FindKeyPairs(id, []byte(label))
	if err != nil {
		return nil, classify(err)
	}
	var pair crypto.Signer
	switch {
	case len(found) == 1:
		pair = found[0]
	case len(found) > 1:
		return nil, fmt.Errorf("there are %d key pairs with the label %q", len(found), label)
	case !create:
		return nil, &classified{fmt.Errorf("there is no key pair with the label %q", label), protocol.NotFound}
	default:
		if pair, err = k.token.GenerateECDSAKeyPairWithLabel(newID(), []byte(label), elliptic.P256()); err != nil {
			return nil, fmt.Errorf("cannot make key pair: %w", classify(err))
		}
	}
	k.pairs[name] = pair
	return pair, nil
}

func (k *keys) close() error {
	if k.token == nil {
		return nil
	}
	return k.token.Close()
}

func newID() []byte {
	id := make([]byte, idSize)
	_, _ = rand.Read(id) // never fails, crypto/rand
	return id
}
