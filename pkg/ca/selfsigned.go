package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// Life of the device's own CA. It is renewed after two thirds of it, so a device may
// be without a right clock, or in a store-room, for eight months.
const (
	selfSignedLife = 2 * 365 * 24 * time.Hour
	// backdate is for clocks of other devices that are a little behind.
	backdate = time.Hour
)

// makeSelfSigned makes a certificate for the device's own CA and uses it. mu is held.
func (a *Authority) makeSelfSigned(ctx context.Context, signer crypto.Signer) error {
	now := a.cfg.Now()
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{CommonName: commonName(a.cfg.DeviceID)},
		NotBefore:    now.Add(-backdate).UTC().Truncate(time.Second),
		NotAfter:     now.Add(selfSignedLife).UTC().Truncate(time.Second),
		// What it signs are the certificates of modules, no other CAs: RFC 5280, 4.2.1.9.
		IsCA: true, MaxPathLenZero: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		return fmt.Errorf("cannot make device CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("cannot make device CA: %w", err)
	}
	return a.use(ctx, &issuer{cert: cert, signer: signer})
}

// commonName is the name of a device's own CA.
func commonName(deviceID string) string { return cut("edged CA "+deviceID, maxCommonName) }

// newSerial is 16 random bytes: nobody can guess the next, and no two devices need
// agree on any. The first is positive and not zero, so that it is always 16 (RFC 5280, 4.1.2.2).
func newSerial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, crypto/rand
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

// maxCommonName is ub-common-name of RFC 5280, Appendix A.1, in characters.
const maxCommonName = 64

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}
