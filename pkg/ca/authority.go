package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/work"
)

// keyName is the name of the CA's key in the keystore.
const keyName = "device-ca"

// Keys is the keystore, for the CA that the device makes itself.
type Keys interface {
	Signer(ctx context.Context, name string) (crypto.Signer, error)
}

// Notes remember small facts; the database's.
type Notes interface {
	Note(ctx context.Context, key string) (string, error)
	SetNote(ctx context.Context, key, value string) error
}

// Operator is a CA that the operator gives the device.
type Operator struct {
	// CertFile is a PEM file: the CA's certificate, then those above it, if any.
	CertFile string
	// Key opens the private key, again at each reload.
	Key func(ctx context.Context) (crypto.Signer, error)
}

// Config is what an Authority needs.
type Config struct {
	Keys  Keys
	Notes Notes
	// DeviceID is in the name of a CA that the device makes.
	DeviceID string
	// Operator is nil for such a CA.
	Operator *Operator
	// TrustBundle is a PEM file of further certificates to trust, or empty.
	TrustBundle string
	// KeyType of issued certificates.
	KeyType KeyType
	Log     logrus.FieldLogger
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Authority issues certificates. Its methods may be called by many goroutines.
type Authority struct {
	cfg Config

	issuer atomic.Pointer[issuer]
	trust  atomic.Pointer[trust]

	// mu is held while the issuer or trust changes.
	mu     sync.Mutex
	memory memory
	extra  []*x509.Certificate // of Config.TrustBundle
	warned time.Time
}

// issuer is the CA that signs now.
type issuer struct {
	cert     *x509.Certificate
	above    []*x509.Certificate
	signer   crypto.Signer
	operator bool
}

// renewAt is when two thirds of a certificate's life are over.
func renewAt(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2)
}

// Open opens the device's CA, and makes it where it is the device's own and there is
// none. A trust bundle that cannot be read is an error in the log and not trusted; the
// operator's CA that cannot be used is one of the class errdefs.FailedPrecondition.
func Open(ctx context.Context, cfg Config) (*Authority, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Authority{cfg: cfg}
	var err error
	if a.memory, err = recall(ctx, cfg.Notes); err != nil {
		return nil, err
	}
	if a.extra, err = readBundle(cfg.TrustBundle); err != nil {
		cfg.Log.WithError(err).Error("cannot trust what [device] trust_bundle names; modules are given the rest")
	}
	if cfg.Now().Before(plausible) {
		cfg.Log.Warnf("the clock reads %s: certificates that are made now are of no use once it is set", cfg.Now().UTC().Format(time.RFC3339))
	}
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Authority) open(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cfg.Operator != nil {
		i, err := a.readOperator(ctx)
		if err != nil {
			return err
		}
		return a.use(ctx, i)
	}
	signer, err := a.cfg.Keys.Signer(ctx, keyName)
	if err != nil {
		return fmt.Errorf("cannot open device CA: %w", err)
	}
	if cert := a.memory.selfSigned(); cert != nil && samePublic(cert.PublicKey, signer.Public()) && cert.Subject.CommonName == commonName(a.cfg.DeviceID) {
		if err := a.use(ctx, &issuer{cert: cert, signer: signer}); err != nil {
			return err
		}
		a.renewIfDue(ctx)
		return nil
	}
	return a.makeSelfSigned(ctx, signer)
}

// use makes an issuer the one that signs, once the database remembers it.
func (a *Authority) use(ctx context.Context, i *issuer) error {
	m := a.memory.with(i, a.cfg.Now())
	// gofail: var caBeforeRemembered struct{}
	if err := m.write(ctx, a.cfg.Notes); err != nil {
		return fmt.Errorf("cannot remember device CA: %w", err)
	}
	// gofail: var caAfterRemembered struct{}
	a.memory = m
	a.issuer.Store(i)
	a.gather()
	return nil
}

// Reload takes over files that the operator changed: the trust bundle, and the CA
// that is the operator's. What cannot be read is an error and stays as it was; the
// other is taken over all the same.
func (a *Authority) Reload(ctx context.Context, trustBundle string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	extra, faulty := readBundle(trustBundle)
	if faulty == nil {
		a.extra = extra
		a.gather()
	}
	if a.cfg.Operator == nil {
		return faulty
	}
	i, err := a.readOperator(ctx)
	if err == nil {
		err = a.use(ctx, i)
	}
	return errors.Join(faulty, err)
}

// renewTimeout is for a key in a token and a disk that are both slow.
const renewTimeout = 2 * time.Minute

// Renew makes the certificate of the device's own CA anew, with the same key; that of
// an operator is read again. It goes on to its end when the client leaves. Errors:
// errdefs.FailedPrecondition, errdefs.Unavailable.
func (a *Authority) Renew(ctx context.Context) error {
	ctx, cancel := work.Lasting(ctx, renewTimeout)
	defer cancel()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cfg.Operator != nil {
		i, err := a.readOperator(ctx)
		if err != nil {
			return err
		}
		return a.use(ctx, i)
	}
	return a.makeSelfSigned(ctx, a.issuer.Load().signer)
}

// checkEvery is how often a renewal is thought of: clocks jump, and so do devices
// that sleep.
const checkEvery = time.Hour

// Run renews the CA when its time has come, until ctx ends.
func (a *Authority) Run(ctx context.Context) {
	for {
		wait := min(max(renewAt(a.issuer.Load().cert).Sub(a.cfg.Now()), time.Minute), checkEvery)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		a.mu.Lock()
		a.renewIfDue(ctx)
		a.gather() // without what has expired
		a.mu.Unlock()
	}
}

// renewIfDue renews the device's own CA, and reminds of an operator's. mu is held.
func (a *Authority) renewIfDue(ctx context.Context) {
	i, now := a.issuer.Load(), a.cfg.Now()
	if i.operator {
		if now.After(renewAt(i.cert)) && now.Sub(a.warned) > 24*time.Hour {
			a.warned = now
			a.cfg.Log.Warnf("the device CA of [device] ca_cert ends at %s: put a new one in its place and reload edged", i.cert.NotAfter.Format(time.RFC3339))
		}
		return
	}
	if !due(i.cert, now) {
		return
	}
	if err := a.makeSelfSigned(ctx, i.signer); err != nil {
		a.cfg.Log.WithError(err).Error("cannot renew the device CA; it is tried again in an hour, and with the next certificate")
		return
	}
	a.cfg.Log.Infof("renewed the device CA; it ends at %s", a.issuer.Load().cert.NotAfter.Format(time.RFC3339))
}

// plausible is before any clock that is set.
var plausible = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// due says that a self-signed certificate is old, or was made by a clock that was
// ahead. A clock that is behind all of edged's existence proves nothing against it.
func due(c *x509.Certificate, now time.Time) bool {
	return now.After(renewAt(c)) || now.Before(c.NotBefore) && now.After(plausible)
}

// ready returns the issuer, or says why nothing can be issued now: of the class
// errdefs.Unavailable, because nothing that the caller asks is wrong.
func (a *Authority) ready(ctx context.Context, now time.Time) (*issuer, error) {
	i := a.issuer.Load()
	if !i.operator && (now.After(i.cert.NotAfter) || now.Before(i.cert.NotBefore)) {
		a.mu.Lock()
		a.renewIfDue(ctx)
		a.mu.Unlock()
		i = a.issuer.Load()
	}
	clock := now.UTC().Format(time.RFC3339)
	switch {
	case now.Before(i.cert.NotBefore):
		return nil, fmt.Errorf("cannot issue certificate: the device's clock reads %s, and the device CA is valid from %s on; set the clock: %w",
			clock, i.cert.NotBefore.Format(time.RFC3339), errdefs.ErrUnavailable)
	case now.After(i.cert.NotAfter) && i.operator:
		return nil, fmt.Errorf("cannot issue certificate: the device CA of [device] ca_cert ended at %s and the device's clock reads %s; put a new one in its place and reload edged, or set the clock: %w",
			i.cert.NotAfter.Format(time.RFC3339), clock, errdefs.ErrUnavailable)
	case now.After(i.cert.NotAfter):
		return nil, fmt.Errorf("cannot issue certificate: the device CA ended at %s and cannot be renewed, edged's log says why: %w",
			i.cert.NotAfter.Format(time.RFC3339), errdefs.ErrUnavailable)
	}
	return i, nil
}
