package ca

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestAServerCertificateIsWhatClientsExpect(t *testing.T) {
	f := newFixture(t)
	a := f.open()
	got, err := a.Issue(t.Context(), Request{
		Profile: Server, CommonName: "edgehub", DNSNames: []string{"edgehub", "gw.example.test", "edgehub"}, IPs: []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.7")},
	})
	require.NoError(t, err)
	c := leaf(t, got)
	require.Equal(t, "edgehub", c.Subject.CommonName)
	require.Equal(t, []string{"edgehub", "gw.example.test"}, c.DNSNames)
	require.Equal(t, "10.0.0.7", c.IPAddresses[0].String())
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, c.ExtKeyUsage)
	require.False(t, c.IsCA)
	require.Equal(t, f.now.Add(DefaultLife), c.NotAfter)
	require.Equal(t, got.NotAfter, c.NotAfter)
	require.Equal(t, f.now.Add(-leafBackdate), c.NotBefore)
	require.NoError(t, f.trusted(got, a.TrustBundle(), x509.ExtKeyUsageServerAuth, "gw.example.test"))
	require.Error(t, f.trusted(got, a.TrustBundle(), x509.ExtKeyUsageClientAuth, ""), "it proves no client")
	pair, err := tls.X509KeyPair(append(got.Certificate, got.Chain...), got.PrivateKey)
	require.NoError(t, err)
	require.IsType(t, &ecdsa.PrivateKey{}, pair.PrivateKey)
	require.Len(t, pair.Certificate, 2)
	require.True(t, strings.HasPrefix(string(got.PrivateKey), "-----BEGIN PRIVATE KEY-----\n"))
}

func TestAnIdentityCertificateNamesItsModule(t *testing.T) {
	f := newFixture(t)
	a := f.open()
	uri := "azureiot://hub.example.test/devices/gw%237/modules/a%20b"
	got, err := a.Issue(t.Context(), Request{Profile: Client, CommonName: strings.Repeat("ä", 70), URIs: []string{uri}, KeyType: RSA2048})
	require.NoError(t, err)
	c := leaf(t, got)
	require.Equal(t, uri, c.URIs[0].String())
	require.Equal(t, strings.Repeat("ä", 64), c.Subject.CommonName)
	require.IsType(t, &rsa.PublicKey{}, c.PublicKey)
	require.NotZero(t, c.KeyUsage&x509.KeyUsageKeyEncipherment)
	require.NoError(t, f.trusted(got, a.TrustBundle(), x509.ExtKeyUsageClientAuth, ""))
}

func TestTheKeyTypeIsThatOfTheConfiguration(t *testing.T) {
	f := newFixture(t)
	f.cfg.KeyType = RSA2048
	got, err := f.open().Issue(t.Context(), Request{Profile: Server, CommonName: "x"})
	require.NoError(t, err)
	require.IsType(t, &rsa.PublicKey{}, leaf(t, got).PublicKey)
	require.NotZero(t, leaf(t, got).KeyUsage&x509.KeyUsageKeyEncipherment)
	_, err = f.open().Issue(t.Context(), Request{Profile: Server, CommonName: "x", KeyType: "dsa"})
	require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
}

func TestTheEndIsCutAtTheLimits(t *testing.T) {
	f := newFixture(t)
	a := f.open()
	for name, tc := range map[string]struct{ ask, want time.Time }{
		"none":   {time.Time{}, f.now.Add(30 * 24 * time.Hour)},
		"soon":   {f.now.Add(90 * time.Second), f.now.Add(90 * time.Second)},
		"late":   {f.now.Add(24 * 365 * time.Hour), f.now.Add(90 * 24 * time.Hour)},
		"oddity": {f.now.Add(1500 * time.Millisecond), f.now.Add(time.Second)},
	} {
		got, err := a.Issue(t.Context(), Request{Profile: Client, CommonName: "m", NotAfter: tc.ask})
		require.NoError(t, err, name)
		require.Equal(t, tc.want, leaf(t, got).NotAfter, name)
	}
	for _, end := range []time.Time{f.now, f.now.Add(-time.Hour), time.Unix(0, 0)} {
		_, err := a.Issue(t.Context(), Request{Profile: Client, CommonName: "m", NotAfter: end})
		require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
		require.ErrorContains(t, err, "is past")
	}
	f.operator(func(c *x509.Certificate) { c.NotAfter = f.now.Add(48 * time.Hour) })
	got, err := f.open().Issue(t.Context(), Request{Profile: Client, CommonName: "m"})
	require.NoError(t, err)
	require.Equal(t, f.now.Add(48*time.Hour), got.NotAfter, "no longer than the CA")
}

func TestNamesThatCannotBeInACertificateAreRefused(t *testing.T) {
	a := newFixture(t).open()
	many := make([]string, maxNames+1)
	for i := range many {
		many[i] = fmt.Sprintf("n%d", i)
	}
	for name, r := range map[string]Request{
		"no profile": {CommonName: "m"}, "not UTF-8": {Profile: Server, CommonName: "\xff"}, "no name": {Profile: Server},
		"space": {Profile: Server, DNSNames: []string{"a b"}}, "empty": {Profile: Server, DNSNames: []string{""}}, "NUL": {Profile: Server, DNSNames: []string{"a\x00.b"}},
		"empty label": {Profile: Server, DNSNames: []string{"a..b"}}, "inner wildcard": {Profile: Server, DNSNames: []string{"a.*.b"}}, "address": {Profile: Server, DNSNames: []string{"10.0.0.1"}},
		"long label": {Profile: Server, DNSNames: []string{strings.Repeat("a", 64)}}, "not ASCII": {Profile: Server, DNSNames: []string{"ä.test"}}, "final dot": {Profile: Server, DNSNames: []string{"a."}},
		"zone": {Profile: Server, IPs: []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}}, "no address": {Profile: Server, IPs: []netip.Addr{{}}},
		"relative": {Profile: Client, URIs: []string{"a/b"}}, "no host": {Profile: Client, URIs: []string{"urn:x"}}, "broken": {Profile: Client, URIs: []string{"a://%zz"}},
		"host": {Profile: Client, URIs: []string{"azureiot://a..b/x"}}, "too many": {Profile: Server, DNSNames: many},
	} {
		_, err := a.Issue(t.Context(), r)
		require.ErrorIs(t, err, errdefs.ErrInvalidArgument, name)
	}
}

func TestWhateverIsIssuedIsValid(t *testing.T) {
	f := newFixture(t)
	a := f.open()
	serials := map[string]bool{}
	require.NoError(t, quick.Check(func(common string, names []string, ip [4]byte, ahead int32) bool {
		r := Request{Profile: Server, CommonName: common, IPs: []netip.Addr{netip.AddrFrom4(ip)}, NotAfter: f.now.Add(time.Duration(ahead) * time.Second)}
		r.DNSNames = append(r.DNSNames, names[:min(len(names), 3)]...)
		if rand.IntN(2) == 0 {
			r.DNSNames = []string{"host.example.test"}
		}
		got, err := a.Issue(t.Context(), r)
		if err != nil {
			return errdefs.IsInvalidArgument(err)
		}
		c := leaf(t, got)
		serial := c.SerialNumber.Bytes()
		if serials[string(serial)] || len(serial) != 16 {
			return false
		}
		serials[string(serial)] = true
		return f.trusted(got, a.TrustBundle(), x509.ExtKeyUsageServerAuth, "") == nil && !c.NotAfter.After(f.now.Add(MaxLife)) && c.NotAfter.After(c.NotBefore) &&
			slices.Equal(c.DNSNames, r.DNSNames)
	}, &quick.Config{MaxCount: 500}))
	require.NotEmpty(t, serials)
}

func BenchmarkIssue(b *testing.B) {
	for _, keyType := range []KeyType{P256, RSA2048} {
		b.Run(string(keyType), func(b *testing.B) {
			a := newFixture(b).open()
			var times []time.Duration
			for b.Loop() {
				began := time.Now()
				if _, err := a.Issue(b.Context(), Request{Profile: Server, CommonName: "edgehub", DNSNames: []string{"edgehub", "gw"}, KeyType: keyType}); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(began))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
		})
	}
}
