// Package protocol is what edged and its program edged-pkcs11 say to one another on
// the socket pair between them: a request, then its answer, one at a time.
//
// Each is JSON after its length in four bytes. What is longer than a key needs ends
// the conversation: the library of a token is code of others, in a process of its own
// because nobody knows what it does.
package protocol

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// FD is the socket's descriptor in edged-pkcs11: the first after the standard ones.
const FD = 3

// MaxSize is the most bytes of a message.
const MaxSize = 64 << 10

// Operations.
const (
	// Open loads the token's library and logs in: first of all, once.
	Open = "open"
	// FindRoot finds the secret key Label, or makes it with Create.
	FindRoot = "root"
	// MAC is HMAC-SHA256 of Data under the secret key Label.
	MAC = "mac"
	// FindPair finds the key pair of Label or ID, or makes it with Create.
	FindPair = "pair"
	// Sign signs Data, a digest that Hash names, with the key pair of Label or ID.
	Sign = "sign"
)

// Request is what edged asks.
type Request struct {
	Op     string `json:"op"`
	Token  *Token `json:"token,omitempty"` // of Open
	Label  string `json:"label,omitempty"`
	ID     []byte `json:"id,omitempty"`
	Create bool   `json:"create,omitempty"`
	Data   []byte `json:"data,omitempty"`
	Hash   uint   `json:"hash,omitempty"` // a crypto.Hash
}

// Token says which token to open, and how.
type Token struct {
	Module string `json:"module"`
	Label  string `json:"label,omitempty"`
	Serial string `json:"serial,omitempty"`
	Slot   *int   `json:"slot,omitempty"`
	PIN    string `json:"pin"`
}

// Classes of errors.
const (
	NotFound    = "not found"
	PINRefused  = "pin refused"
	Unavailable = "unavailable"
	Failed      = "failed"
)

// Answer is what edged-pkcs11 answers: an error, or what was asked for.
type Answer struct {
	Error string `json:"error,omitempty"`
	Class string `json:"class,omitempty"`
	// Data is a MAC, a signature, or a public key (PKIX, DER).
	Data []byte `json:"data,omitempty"`
}

// Write writes one message.
func Write(w io.Writer, message any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(body) > MaxSize {
		return fmt.Errorf("message has %d bytes, at most %d are allowed", len(body), MaxSize)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	clear(body) // a PIN may be in it
	return err
}

// Read reads one message into message. io.EOF is the end of the conversation
// between two of them.
func Read(r io.Reader, message any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > MaxSize {
		return fmt.Errorf("message has %d bytes, at most %d are allowed", size, MaxSize)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	defer clear(body)
	return json.Unmarshal(body, message)
}
