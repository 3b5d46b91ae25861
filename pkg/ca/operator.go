package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// readOperator reads the operator's CA.
func (a *Authority) readOperator(ctx context.Context) (*issuer, error) {
	o := a.cfg.Operator
	certs, err := readCertificates(o.CertFile)
	if err != nil {
		return nil, fmt.Errorf("cannot use [device] ca_cert: %w", err)
	}
	if err := usable(certs[0]); err != nil {
		return nil, fmt.Errorf("cannot use [device] ca_cert %s: %w: %w", o.CertFile, err, errdefs.ErrFailedPrecondition)
	}
	signer, err := o.Key(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot use [device] ca_key: %w", err)
	}
	if !samePublic(certs[0].PublicKey, signer.Public()) {
		return nil, fmt.Errorf("cannot use [device] ca_key: it is not the key of the first certificate in %s: %w", o.CertFile, errdefs.ErrFailedPrecondition)
	}
	return &issuer{cert: certs[0], above: certs[1:], signer: signer, operator: true}, nil
}

// usable holds a certificate to be one that may sign others. Whether it is valid now
// is asked with each that it signs.
func usable(c *x509.Certificate) error {
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		return errors.New("its first certificate is not that of a CA (basicConstraints CA:TRUE)")
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("its first certificate may not sign certificates (keyUsage keyCertSign)")
	}
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		return fmt.Errorf("its key is RSA with %d bits, want 2048 at least", key.N.BitLen())
	}
	return nil
}

func samePublic(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// maxPEM bounds files of certificates and keys.
const maxPEM = 1 << 20

// readFile reads a regular file of a bounded size.
func readFile(path string) ([]byte, error) {
	// O_NONBLOCK: a named pipe in its place must not hold up the start.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot read file: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot read file: %s is not a regular file: %w", path, errdefs.ErrFailedPrecondition)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err == nil && len(b) > maxPEM {
		err = fmt.Errorf("%s has more than %d bytes: %w", path, maxPEM, errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read file: %w", err)
	}
	return b, nil
}

// readCertificates reads a PEM file of certificates, of which there is one at least.
func readCertificates(path string) ([]*x509.Certificate, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(b)
	if err == nil && len(certs) == 0 {
		err = errors.New("there is no certificate in it")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w: %w", path, err, errdefs.ErrFailedPrecondition)
	}
	return certs, nil
}

// parseCertificates reads PEM; text around the blocks is allowed, RFC 7468, 5.2.
func parseCertificates(b []byte) (certs []*x509.Certificate, err error) {
	for number := 1; ; number++ {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			if bytes.Contains(b, []byte("-----BEGIN")) {
				return nil, fmt.Errorf("block %d is not PEM", number)
			}
			return certs, nil
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d is not a certificate but %q", number, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", number, err)
		}
		certs = append(certs, cert)
	}
}

// ReadKey reads the private key in a PEM file: PKCS #8, SEC 1 or PKCS #1, without a
// password. Errors: errdefs.FailedPrecondition, and the disk's.
func ReadKey(path string) (crypto.Signer, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	unreadable := func(why string) (crypto.Signer, error) {
		return nil, fmt.Errorf("cannot read %s: %s: %w", path, why, errdefs.ErrFailedPrecondition)
	}
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return unreadable("there is no private key in it")
		}
		defer clear(block.Bytes)
		var key any
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return unreadable("the key has a password, which nobody could type at the start; protect it in a TPM or token instead")
		default:
			continue // EC PARAMETERS
		}
		if err != nil {
			return unreadable("the private key in it is broken")
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return unreadable("the private key in it cannot sign")
		}
		return signer, nil
	}
}
