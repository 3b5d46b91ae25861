package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"time"
)

// Note is the name of the note by which the database remembers the CA.
const Note = "ca"

// maxKnown bounds the certificates that are remembered: those of one key stand in for
// one another, so that the oldest may go.
const maxKnown = 8

// memory is what the database knows: certificates, PEM.
type memory struct {
	// SelfSigned is the device's own CA, empty before it was made.
	SelfSigned string `json:"selfSigned"`
	// Known are all that ever issued and have not expired, the newest last.
	Known []string `json:"known"`
}

func recall(ctx context.Context, notes Notes) (memory, error) {
	var m memory
	text, err := notes.Note(ctx, Note)
	if err != nil || text == "" {
		return m, err
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return m, fmt.Errorf("cannot read what the database knows of the device CA: %w", err)
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

func (m memory) selfSigned() *x509.Certificate {
	if certs, err := parseCertificates([]byte(m.SelfSigned)); err == nil && len(certs) == 1 {
		return certs[0]
	}
	return nil
}

// known are the certificates that have not expired, the newest first.
func (m memory) known(now time.Time) (certs []*x509.Certificate) {
	for _, text := range slices.Backward(m.Known) {
		if c, err := parseCertificates([]byte(text)); err == nil && len(c) == 1 && now.Before(c[0].NotAfter) {
			certs = append(certs, c[0])
		}
	}
	return certs
}

// with is m that knows the issuer as its newest, and no more what has expired.
func (m memory) with(i *issuer, now time.Time) memory {
	text := string(encode(i.cert))
	all := []string{text}
	same := 0
	for _, c := range m.known(now) {
		if c.Equal(i.cert) {
			continue
		}
		if samePublic(c.PublicKey, i.cert.PublicKey) {
			if same++; same >= maxKnown {
				continue
			}
		}
		all = append(all, string(encode(c)))
	}
	slices.Reverse(all)
	m.Known = all
	if !i.operator {
		m.SelfSigned = text
	}
	return m
}

func encode(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes everything
	}
	return b.Bytes()
}

// trust is what modules trust.
type trust struct {
	certs []*x509.Certificate
	pem   []byte
}

func readBundle(path string) ([]*x509.Certificate, error) {
	if path == "" {
		return nil, nil
	}
	certs, err := readCertificates(path)
	if err != nil {
		return nil, fmt.Errorf("cannot use [device] trust_bundle: %w", err)
	}
	return certs, nil
}

// gather makes the bundle: the CA that issues, those before it that have not expired,
// what stands above it, and the operator's. mu is held.
func (a *Authority) gather() {
	i := a.issuer.Load()
	all := append([]*x509.Certificate{i.cert}, a.memory.known(a.cfg.Now())...)
	all = append(append(all, i.above...), a.extra...)
	t := new(trust)
	for _, c := range all {
		if !slices.ContainsFunc(t.certs, c.Equal) {
			t.certs = append(t.certs, c)
		}
	}
	t.pem = encode(t.certs...)
	a.trust.Store(t)
}

// TrustBundle is what modules trust, PEM. The caller must not change it.
func (a *Authority) TrustBundle() []byte { return a.trust.Load().pem }

// Info is what there is to say of the CA.
type Info struct {
	// Operator says that the CA is not the device's own.
	Operator    bool
	Certificate *x509.Certificate
	PEM         []byte
	// RenewAt is when two thirds of its life are over.
	RenewAt time.Time
	// Trust is what modules trust, in the order of the bundle.
	Trust []*x509.Certificate
}

// Info describes the CA that issues now.
func (a *Authority) Info() Info {
	i := a.issuer.Load()
	return Info{Operator: i.operator, Certificate: i.cert, PEM: encode(i.cert), RenewAt: renewAt(i.cert), Trust: a.trust.Load().certs}
}
