package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a device with a clock that is set by hand.
type fixture struct {
	t     testing.TB
	now   time.Time
	key   crypto.Signer
	all   map[string]string
	fail  error
	said  *logtest.Hook
	cfg   Config
	files string
}

func newFixture(t testing.TB) *fixture {
	log, said := logtest.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	f := &fixture{t: t, now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), all: map[string]string{}, said: said, files: t.TempDir()}
	f.key = newP256(t)
	f.cfg = Config{Keys: f, Notes: f, DeviceID: "gateway-7", Log: log, Now: func() time.Time { return f.now }}
	return f
}

func (f *fixture) Signer(context.Context, string) (crypto.Signer, error) { return f.key, f.fail }

func (f *fixture) Note(_ context.Context, key string) (string, error) { return f.all[key], nil }

// SetNote obeys contexts, as a database does.
func (f *fixture) SetNote(ctx context.Context, key, value string) error {
	err := errors.Join(f.fail, ctx.Err())
	if err == nil {
		f.all[key] = value
	}
	return err
}

func (f *fixture) open() *Authority {
	f.t.Helper()
	a, err := Open(f.t.Context(), f.cfg)
	require.NoError(f.t, err)
	return a
}

func (f *fixture) write(name string, data []byte) string {
	path := filepath.Join(f.files, name)
	require.NoError(f.t, os.WriteFile(path, data, 0o600))
	return path
}

// operator gives the device a CA that a root has signed, and returns the root.
func (f *fixture) operator(change func(*x509.Certificate)) (root *x509.Certificate) {
	f.t.Helper()
	rootKey, caKey := newP256(f.t), newP256(f.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: f.now.AddDate(-1, 0, 0), NotAfter: f.now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root = certificate(f.t, template, template, rootKey, rootKey)
	sub := *template
	sub.Subject.CommonName, sub.NotBefore, sub.NotAfter = "plant 3", f.now.Add(-time.Hour), f.now.AddDate(0, 0, 300)
	if change != nil {
		change(&sub)
	}
	cert := certificate(f.t, &sub, root, caKey, rootKey)
	der, err := x509.MarshalPKCS8PrivateKey(caKey)
	require.NoError(f.t, err)
	key := f.write("ca.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	f.cfg.Operator = &Operator{
		CertFile: f.write("ca.pem", append([]byte("# plant 3\n"), encode(cert, root)...)),
		Key:      func(context.Context) (crypto.Signer, error) { return ReadKey(key) },
	}
	return root
}

func certificate(t testing.TB, template, parent *x509.Certificate, key, signer crypto.Signer) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return c
}

func newP256(t testing.TB) crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// leaf reads an issued certificate.
func leaf(t testing.TB, i *Issued) *x509.Certificate {
	t.Helper()
	certs, err := parseCertificates(i.Certificate)
	require.NoError(t, err)
	require.Len(t, certs, 1)
	return certs[0]
}

// trusted verifies a certificate as a client does that trusts a bundle.
func (f *fixture) trusted(i *Issued, bundle []byte, usage x509.ExtKeyUsage, name string) error {
	roots, chain := x509.NewCertPool(), x509.NewCertPool()
	require.True(f.t, roots.AppendCertsFromPEM(bundle))
	require.True(f.t, chain.AppendCertsFromPEM(i.Chain))
	_, err := leaf(f.t, i).Verify(x509.VerifyOptions{Roots: roots, Intermediates: chain, CurrentTime: f.now, KeyUsages: []x509.ExtKeyUsage{usage}, DNSName: name})
	return err
}
