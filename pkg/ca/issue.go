package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/lazyregexp"
)

// Lives of issued certificates.
const (
	DefaultLife = 30 * 24 * time.Hour
	MaxLife     = 90 * 24 * time.Hour
	// leafBackdate is for the clocks of whoever checks them.
	leafBackdate = 5 * time.Minute
)

// maxNames bounds the alternative names of one certificate.
const maxNames = 64

// Profile says what a certificate is for.
type Profile int

// The profiles.
const (
	// Client is for a module that proves who it is (extendedKeyUsage clientAuth).
	Client Profile = iota + 1
	// Server is for a module that others connect to (serverAuth).
	Server
)

// KeyType is the kind of an issued key.
type KeyType string

// The key types. RSA is for clients that know nothing else: a key takes a hundred
// times as long to make.
const (
	P256    KeyType = "ecdsa-p256"
	RSA2048 KeyType = "rsa-2048"
)

// Request says what to issue.
type Request struct {
	Profile Profile
	// CommonName is cut at 64 characters; what proves anything are the names below.
	CommonName string
	// DNSNames may begin with "*.".
	DNSNames []string
	IPs      []netip.Addr
	// URIs are absolute.
	URIs []string
	// NotAfter is the wanted end; zero is DefaultLife from now. It is cut at MaxLife
	// and at the CA's end.
	NotAfter time.Time
	// KeyType is Config.KeyType where it is empty.
	KeyType KeyType
}

// Issued is a certificate with its key.
type Issued struct {
	// Certificate is the leaf, PEM, and Chain the certificates above it: what a server
	// sends is one after the other.
	Certificate, Chain []byte
	// PrivateKey is PKCS #8, PEM. The caller clears it.
	PrivateKey []byte
	NotAfter   time.Time
}

// Issue makes a key and a certificate for it. Errors: errdefs.InvalidArgument for
// names that cannot be in one and an end that is past; errdefs.Unavailable where the
// clock is wrong, the CA has ended, or its key cannot be asked.
func (a *Authority) Issue(ctx context.Context, r Request) (*Issued, error) {
	now := a.cfg.Now()
	i, err := a.ready(ctx, now)
	if err != nil {
		return nil, err
	}
	if r.KeyType == "" {
		r.KeyType = a.cfg.KeyType
	}
	template, err := r.template(i.cert, now)
	if err != nil {
		return nil, fmt.Errorf("cannot issue certificate: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	key, err := newKey(r.KeyType)
	if err != nil {
		return nil, fmt.Errorf("cannot make key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, key.Public(), i.signer)
	if err != nil {
		return nil, fmt.Errorf("cannot issue certificate: %w", err)
	}
	// What cannot be read back, clients cannot either: an odd name in a URI, say.
	if _, err := x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("cannot issue certificate: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("cannot encode key: %w", err)
	}
	defer clear(secret)
	return &Issued{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Chain:       encode(append([]*x509.Certificate{i.cert}, i.above...)...),
		PrivateKey:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		NotAfter:    template.NotAfter,
	}, nil
}

func newKey(t KeyType) (crypto.Signer, error) {
	switch t {
	case P256, "":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, fmt.Errorf("there are no keys of type %q: %w", t, errdefs.ErrInvalidArgument)
}

func (r *Request) template(ca *x509.Certificate, now time.Time) (*x509.Certificate, error) {
	usage := x509.ExtKeyUsageClientAuth
	switch r.Profile {
	case Client:
	case Server:
		usage = x509.ExtKeyUsageServerAuth
	default:
		return nil, fmt.Errorf("unknown profile %d", r.Profile)
	}
	t := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{CommonName: cut(r.CommonName, maxCommonName)},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{usage},
		// Said, because what is left out is read in more than one way.
		BasicConstraintsValid: true,
	}
	if r.KeyType == RSA2048 {
		t.KeyUsage |= x509.KeyUsageKeyEncipherment // TLS 1.2 without a Diffie-Hellman exchange
	}
	if err := r.names(t); err != nil {
		return nil, err
	}
	return t, r.life(t, ca, now)
}

func (r *Request) life(t, ca *x509.Certificate, now time.Time) error {
	end := r.NotAfter
	if end.IsZero() {
		end = now.Add(DefaultLife)
	}
	if !end.After(now) {
		return fmt.Errorf("its expiration %s is past, the device's clock reads %s", end.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	for _, limit := range []time.Time{now.Add(MaxLife), ca.NotAfter} {
		if end.After(limit) {
			end = limit
		}
	}
	begin := now.Add(-leafBackdate)
	if begin.Before(ca.NotBefore) {
		begin = ca.NotBefore
	}
	t.NotBefore, t.NotAfter = begin.UTC().Truncate(time.Second), end.UTC().Truncate(time.Second)
	return nil
}

func (r *Request) names(t *x509.Certificate) error {
	if n := len(r.DNSNames) + len(r.IPs) + len(r.URIs); n > maxNames {
		return fmt.Errorf("it has %d names, at most %d are allowed", n, maxNames)
	}
	if !utf8.ValidString(r.CommonName) {
		return fmt.Errorf("its common name is not UTF-8")
	}
	if r.CommonName == "" && len(r.DNSNames)+len(r.IPs)+len(r.URIs) == 0 {
		return fmt.Errorf("it has no name")
	}
	for _, name := range r.DNSNames {
		if !ValidDNSName(name) {
			return fmt.Errorf("%q is not a DNS name", name)
		}
		if !slices.Contains(t.DNSNames, name) {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	for _, ip := range r.IPs {
		if !ip.IsValid() || ip.Zone() != "" {
			return fmt.Errorf("%q is not an address that others have too", ip)
		}
		t.IPAddresses = append(t.IPAddresses, net.IP(ip.Unmap().AsSlice()))
	}
	for _, text := range r.URIs {
		u, err := url.Parse(text)
		if err != nil || !u.IsAbs() || u.Host == "" {
			return fmt.Errorf("%q is not an absolute URI", text)
		}
		t.URIs = append(t.URIs, u)
	}
	return nil
}

// label is one of a DNS name: RFC 1123, 2.1, and the underscore, which names of
// devices and containers have in practice and verifiers take.
var label = lazyregexp.New(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// ValidDNSName says whether a name may be a DNS name in a certificate.
func ValidDNSName(name string) bool {
	name = strings.TrimPrefix(name, "*.")
	if name == "" || len(name) > 253 {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if !label().MatchString(part) {
			return false
		}
	}
	// Clients read an address where they see one, RFC 6125, 1.7.2.
	_, err := netip.ParseAddr(name)
	return err != nil
}
