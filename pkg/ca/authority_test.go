package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func server(t *testing.T, a *Authority) *Issued {
	t.Helper()
	got, err := a.Issue(t.Context(), Request{Profile: Server, CommonName: "m", DNSNames: []string{"m"}})
	require.NoError(t, err)
	return got
}

func TestTheDevicesOwnCASignsModulesAndNoOtherCA(t *testing.T) {
	f := newFixture(t)
	c := f.open().Info().Certificate
	require.Equal(t, "edged CA gateway-7", c.Subject.CommonName)
	require.True(t, c.IsCA && c.MaxPathLenZero && c.MaxPathLen == 0 && c.BasicConstraintsValid)
	require.Equal(t, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature, c.KeyUsage)
	require.Len(t, c.SerialNumber.Bytes(), 16)
	require.Equal(t, f.now.Add(-backdate), c.NotBefore)
	require.Equal(t, f.now.Add(selfSignedLife), c.NotAfter)
	require.Equal(t, c.SubjectKeyId, leaf(t, server(t, f.open())).AuthorityKeyId)
}

func TestTheCAIsTheSameAfterARestart(t *testing.T) {
	f := newFixture(t)
	one := f.open().Info()
	require.True(t, one.Certificate.Equal(f.open().Info().Certificate))
	f.cfg.DeviceID = "renamed"
	two := f.open().Info()
	require.Equal(t, "edged CA renamed", two.Certificate.Subject.CommonName)
	require.Len(t, two.Trust, 2, "what was trusted is")
}

func TestARenewalNeedsNobodyToRestart(t *testing.T) {
	f := newFixture(t)
	a := f.open()
	bundle := a.TrustBundle()
	f.now = renewAt(a.Info().Certificate).Add(-time.Second)
	a = f.open()
	require.Equal(t, bundle, a.TrustBundle(), "not yet")
	before := server(t, a)
	f.now = f.now.Add(2 * time.Second)
	a = f.open()
	require.NotEqual(t, bundle, a.TrustBundle())
	after := server(t, a)
	for _, i := range []*Issued{before, after} {
		require.NoError(t, f.trusted(i, bundle, x509.ExtKeyUsageServerAuth, "m"), "by a module that read the bundle before")
		require.NoError(t, f.trusted(i, a.TrustBundle(), x509.ExtKeyUsageServerAuth, "m"))
	}
	require.Len(t, a.Info().Trust, 2)
	f.now = f.now.Add(selfSignedLife / 3 * 2).Add(-time.Hour)
	require.Len(t, f.open().Info().Trust, 1, "what has expired is trusted no more")
}

func TestRenewalsThatAreAskedForDoNotPileUp(t *testing.T) {
	f := newFixture(t)
	a := f.open()
	for range 30 {
		f.now = f.now.Add(time.Second)
		require.NoError(t, a.Renew(t.Context()))
	}
	require.Len(t, a.Info().Trust, maxKnown)
	require.True(t, a.Info().Trust[0].Equal(a.Info().Certificate), "the one that issues comes first")
	f.fail = errors.New("disk full")
	was := a.Info().Certificate
	require.ErrorContains(t, a.Renew(t.Context()), "disk full")
	require.True(t, was.Equal(a.Info().Certificate), "what is not remembered is not used")
}

// TestARenewalGoesOnWhenItsClientLeaves: it was accepted.
func TestARenewalGoesOnWhenItsClientLeaves(t *testing.T) {
	f := newFixture(t)
	a := f.open()
	was := a.Info().Certificate
	f.now = f.now.Add(time.Second)
	left, leave := context.WithCancel(t.Context())
	leave()
	require.NoError(t, a.Renew(left))
	require.False(t, was.Equal(a.Info().Certificate))
	require.True(t, f.open().Info().Certificate.Equal(a.Info().Certificate), "it is remembered")
}

func TestTheClockIsSaidWhereItIsWrong(t *testing.T) {
	f := newFixture(t)
	a := f.open()
	right := f.now
	f.now = time.Date(1970, 1, 1, 0, 5, 0, 0, time.UTC) // no battery
	_, err := a.Issue(t.Context(), Request{Profile: Server, CommonName: "m"})
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
	require.ErrorContains(t, err, "the device's clock reads 1970-01-01T00:05:00Z, and the device CA is valid from 2026-06-01T11:00:00Z on; set the clock")
	a = f.open()
	require.Contains(t, f.said.LastEntry().Message, "the clock reads 1970-01-01")
	require.Len(t, a.Info().Trust, 1, "a clock that nobody set renews nothing")
	f.now = right
	server(t, a)

	f.now = right.AddDate(30, 0, 0) // a clock that is ahead, and then is set
	server(t, a)
	f.now = right
	got := server(t, a)
	require.NoError(t, f.trusted(got, a.TrustBundle(), x509.ExtKeyUsageServerAuth, "m"))
}

func TestADeviceThatBeganWithoutAClockRecovers(t *testing.T) {
	f := newFixture(t)
	right := f.now
	f.now = time.Date(1970, 1, 1, 0, 0, 9, 0, time.UTC)
	a := f.open()
	f.now = right
	got := server(t, a)
	require.NoError(t, f.trusted(got, a.TrustBundle(), x509.ExtKeyUsageServerAuth, "m"))
}

func TestTheOperatorsCAIsUsed(t *testing.T) {
	f := newFixture(t)
	own := f.open()
	before := server(t, own)
	root := f.operator(nil)
	f.cfg.TrustBundle = f.write("trust.pem", encode(root))
	a := f.open()
	got := server(t, a)
	require.Equal(t, "plant 3", leaf(t, got).Issuer.CommonName)
	require.NoError(t, f.trusted(got, encode(root), x509.ExtKeyUsageServerAuth, "m"), "by whoever trusts the root alone")
	require.NoError(t, f.trusted(got, a.TrustBundle(), x509.ExtKeyUsageServerAuth, "m"))
	require.NoError(t, f.trusted(before, a.TrustBundle(), x509.ExtKeyUsageServerAuth, "m"), "what was issued before goes on")
	require.True(t, a.Info().Operator)
	require.Len(t, a.Info().Trust, 3)

	f.cfg.Operator = nil
	require.True(t, own.Info().Certificate.Equal(f.open().Info().Certificate), "and back again")
}

func TestTheOperatorsCAIsReadAgain(t *testing.T) {
	f := newFixture(t)
	f.operator(nil)
	a := f.open()
	before := server(t, a)
	one := a.Info().Certificate
	f.operator(nil)
	key := f.cfg.Operator.Key
	a.cfg.Operator.Key = key
	require.ErrorContains(t, a.Reload(t.Context(), f.files+"/none.pem"), "cannot use [device] trust_bundle", "the CA is read again all the same")
	require.False(t, one.Equal(a.Info().Certificate))
	require.NoError(t, f.trusted(before, a.TrustBundle(), x509.ExtKeyUsageServerAuth, "m"))
	good := a.Info().Certificate

	f.write("ca.pem", []byte("nothing"))
	for _, err := range []error{a.Reload(t.Context(), ""), a.Renew(t.Context())} {
		require.ErrorIs(t, err, errdefs.ErrFailedPrecondition)
		require.ErrorContains(t, err, "cannot use [device] ca_cert")
	}
	require.True(t, good.Equal(a.Info().Certificate), "what worked goes on")
	server(t, a)
}

func TestAnOperatorsCAThatEndedIsSaid(t *testing.T) {
	f := newFixture(t)
	f.operator(nil)
	a := f.open()
	f.now = a.Info().RenewAt.Add(time.Hour)
	a = f.open()
	a.mu.Lock()
	a.renewIfDue(t.Context())
	a.renewIfDue(t.Context())
	a.mu.Unlock()
	require.Len(t, f.said.AllEntries(), 1, "once a day")
	require.Contains(t, f.said.LastEntry().Message, "the device CA of [device] ca_cert ends at")
	f.now = f.now.AddDate(1, 0, 0)
	a = f.open() // edged starts all the same
	_, err := a.Issue(t.Context(), Request{Profile: Server, CommonName: "m"})
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
	require.ErrorContains(t, err, "put a new one in its place and reload edged")
}

func TestAnOperatorsCAThatCannotSignIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*x509.Certificate)
		want   string
	}{
		"a leaf":          {func(c *x509.Certificate) { c.IsCA = false }, "is not that of a CA"},
		"no certificates": {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }, "keyCertSign"},
	} {
		f := newFixture(t)
		f.operator(tc.change)
		_, err := Open(t.Context(), f.cfg)
		require.ErrorIs(t, err, errdefs.ErrFailedPrecondition, name)
		require.ErrorContains(t, err, tc.want)
	}
	f := newFixture(t)
	f.operator(nil)
	f.cfg.Operator.Key = func(context.Context) (crypto.Signer, error) { return newP256(t), nil }
	_, err := Open(t.Context(), f.cfg)
	require.ErrorContains(t, err, "[device] ca_key: it is not the key of the first certificate")
}

func TestTheOperatorsTrustIsReloaded(t *testing.T) {
	f := newFixture(t)
	f.cfg.TrustBundle = f.files + "/none.pem"
	a := f.open()
	require.Contains(t, f.said.LastEntry().Message, "cannot trust what [device] trust_bundle names")
	require.Len(t, a.Info().Trust, 1)
	other := newFixture(t).open().Info()
	path := f.write("trust.pem", append(other.PEM, other.PEM...))
	require.NoError(t, a.Reload(t.Context(), path))
	require.Len(t, a.Info().Trust, 2, "each once")
	for _, broken := range []string{"", "-----BEGIN CERTIFICATE-----\nx", string(other.PEM) + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		require.NoError(t, os.WriteFile(path, []byte(broken), 0o600))
		require.ErrorContains(t, a.Reload(t.Context(), path), "cannot use [device] trust_bundle")
		require.Len(t, a.Info().Trust, 2)
	}
	require.NoError(t, a.Reload(t.Context(), ""))
	require.Len(t, a.Info().Trust, 1)
}

func TestTheCAIsRenewedWhileEdgedRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.cfg.Now = time.Now
		a := f.open()
		first := a.Info()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.Run(ctx) }()
		time.Sleep(time.Until(first.RenewAt) - time.Hour)
		require.True(t, first.Certificate.Equal(a.Info().Certificate))
		time.Sleep(3 * time.Hour)
		require.False(t, first.Certificate.Equal(a.Info().Certificate))
		cancel()
		<-done
	})
}
