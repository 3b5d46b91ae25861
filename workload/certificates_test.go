package workload

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/ca"
	"github.com/edged/edged/pkg/identity"
)

const serverPath = "/modules/target/genid/g1/certificate/server"

// requests returns what the authority of a configuration was asked for.
func requests(cfg Config) []ca.Request {
	return *cfg.Trust.(fakeAuthority).asked
}

func TestIdentityCertificateWithAndWithoutABody(t *testing.T) {
	for body, end := range map[string]time.Time{"": {}, `{}`: {}, `{"expiration":"2026-01-02T03:04:05Z"}`: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} {
		cfg := config(t)
		w := send(t, cfg, inside("target", "module"), "POST", "/modules/%24target/certificate/identity"+query, body)
		require.Equal(t, 201, w.Code, w.Body)
		require.JSONEq(t, `{"privateKey":{"type":"key","bytes":"key"},"certificate":"leaf\nca\n","expiration":"2026-02-03T04:05:06Z"}`, w.Body.String())
		require.NotEmpty(t, w.Header().Get("Content-Length"))
		require.Equal(t, []ca.Request{{
			Profile: ca.Client, CommonName: "target", DNSNames: []string{"target"},
			URIs: []string{"azureiot://hub.example/devices/dev/modules/target"}, NotAfter: end,
		}}, requests(cfg))
	}
}

// TestAStaleContainerGetsNoIdentityCertificate, whose path names no generation id. One that an
// edged of before started has none on record, and an upgrade refuses nobody.
func TestAStaleContainerGetsNoIdentityCertificate(t *testing.T) {
	for made, want := range map[string]int{"g1": 201, "g0": 404, "": 201} {
		cfg := config(t)
		caller := inside("target", "module")
		caller.Instance.GenerationID = made
		w := send(t, cfg, caller, "POST", "/modules/target/certificate/identity"+query, "")
		require.Equal(t, want, w.Code, "%q: %s", made, w.Body)
		require.Equal(t, want == 201, len(requests(cfg)) == 1)
		require.NotContains(t, w.Body.String(), "g1")
	}
}

func TestServerCertificatesAreForNamesOfTheModule(t *testing.T) {
	for name, want := range map[string]int{
		"target": 201, "TARGET": 201, "host": 201, "alias": 201, "granted.example": 201, "10.0.0.1": 201,
		"other": 403, "dev": 403, "gw": 403, "evil.example": 403, "10.0.0.2": 403, "localhost": 403,
	} {
		cfg := config(t)
		w := send(t, cfg, inside("target", "module"), "POST", serverPath+query, `{"commonName":"`+name+`","expiration":"2030-01-02T03:04:05+01:00"}`)
		require.Equal(t, want, w.Code, name)
		if want == 403 {
			require.JSONEq(t, `{"message":"forbidden"}`, w.Body.String())
			require.Empty(t, requests(cfg))
			continue
		}
		r := ca.Request{Profile: ca.Server, CommonName: name, DNSNames: []string{name, "target"}, NotAfter: requests(cfg)[0].NotAfter}
		if ip, err := netip.ParseAddr(name); err == nil {
			r.IPs, r.DNSNames = []netip.Addr{ip}, []string{"target"}
		}
		require.Equal(t, []ca.Request{r}, requests(cfg))
		require.Equal(t, 2030, r.NotAfter.Year())
	}
}

func TestEdgeHubServesUnderTheNamesOfTheDevice(t *testing.T) {
	c := config(t).Certificates
	hub := identity.Identity{Module: "edgeHub"}
	for name, want := range map[string]bool{"edgehub": true, "dev": true, "GW": true, "host": true, "": false, "elsewhere": false} {
		got, err := c.Serves(t.Context(), hub, name)
		require.NoError(t, err)
		require.Equal(t, want, got, name)
	}
}

func TestBadCertificateRequests(t *testing.T) {
	for _, tc := range []struct {
		who, path, body string
		want            int
		message         string
	}{
		{"target", serverPath, ``, 400, "missing request body"},
		{"target", serverPath, `{}`, 400, "commonName"},
		{"target", serverPath, `{"commonName":"target","expiration":"tomorrow"}`, 400, "expiration"},
		{"target", serverPath, `{"commonName":"target","expiration":"0001-01-01T00:00:00Z"}`, 400, "expiration"},
		{"target", "/modules/target/genid/g0/certificate/server", `{"commonName":"target"}`, 404, ""},
		{"other", serverPath, `{"commonName":"target"}`, 403, "forbidden"},
		{"edgeAgent", "/modules/target/certificate/identity", ``, 403, "forbidden"},
		{"nobody", "/modules/nobody/certificate/identity", ``, 404, ""},
		{"target", "/modules/target/certificate/identity", `{"expiration":7}`, 422, "expiration"},
	} {
		cfg := config(t)
		w := send(t, cfg, inside(tc.who, "module"), "POST", tc.path+query, tc.body)
		require.Equal(t, tc.want, w.Code, "%s %s", tc.path, tc.body)
		require.Contains(t, w.Body.String(), tc.message)
		require.Empty(t, requests(cfg))
	}
}

func TestTrustBundles(t *testing.T) {
	cfg := config(t)
	for path, want := range map[string]string{"/trust-bundle": "roots", "/manifest-trust-bundle": ""} {
		w := send(t, cfg, inside("other", "module"), "GET", path+query, "")
		require.Equal(t, 200, w.Code)
		var answer map[string]string
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.Equal(t, map[string]string{"certificate": want}, answer)
		require.NotEmpty(t, w.Header().Get("Content-Length"))
	}
}
