package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

var deviceCA = wire.DeviceCA{
	Source: wire.SourceDevice, Serial: "4711", RenewAt: "2027-04-01T00:00:00Z", Certificate: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
	CACertificate: wire.CACertificate{Subject: "CN=edged CA x", Issuer: "CN=edged CA x", NotBefore: "2026-01-01T00:00:00Z", NotAfter: "2028-01-01T00:00:00Z", SHA256: "00112233445566778899aabbccddeeff"},
	Trust: []wire.CACertificate{
		{Subject: "CN=edged CA x", NotAfter: "2028-01-01T00:00:00Z", SHA256: "00112233445566778899aabbccddeeff"},
		{Subject: "CN=plant\x1b[2J", NotAfter: "2030-01-01T00:00:00Z", SHA256: "ff"},
	},
}

// certified serves a device CA, and remembers what was asked.
func certified(t *testing.T, asked *[]string, ca wire.DeviceCA) *device {
	return newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.URL.Path)
		if err := json.NewEncoder(w).Encode(ca); err != nil {
			t.Error(err)
		}
	}))
}

func TestTheCAIsShownInEveryForm(t *testing.T) {
	var asked []string
	d := certified(t, &asked, deviceCA)
	require.Equal(t, result{0, `subject      CN=edged CA x
source       made by the device
serial       4711
sha256       00112233445566778899aabbccddeeff
valid from   2026-01-01T00:00:00Z
valid until  2028-01-01T00:00:00Z
renewal at   2027-04-01T00:00:00Z, by itself
trusted      CN=edged CA x, until 2028-01-01T00:00:00Z, sha256 0011223344556677…
             CN=plant\x1b[2J, until 2030-01-01T00:00:00Z, sha256 ff
`, ""}, d.run("ca", "show"))
	require.Equal(t, deviceCA.Certificate, d.run("ca", "show", "--format", "pem").out)
	require.Equal(t, "4711 00112233445566778899aabbccddeeff\n", d.run("ca", "show", "--format", "{{.Serial}} {{.SHA256}}").out)
	var got wire.DeviceCA
	require.NoError(t, json.Unmarshal([]byte(d.run("ca", "renew", "--format", "json").out), &got))
	require.Equal(t, deviceCA, got)
	require.Equal(t, []string{"GET /device/ca", "GET /device/ca", "GET /device/ca", "POST /device/ca/renew"}, asked)
	require.Equal(t, exitUsage, d.run("ca", "show", "x").code)
	require.Equal(t, exitUsage, d.run("ca", "show", "--format", "der").code)
	require.Equal(t, exitUsage, d.run("ca", "sign").code)

	operators := deviceCA
	operators.Source, operators.Issuer = wire.SourceOperator, "CN=root"
	text := certified(t, &asked, operators).run("ca", "show").out
	require.Contains(t, text, "source       given by the operator\nissuer       CN=root\n")
	require.Contains(t, text, "renewal at   2027-04-01T00:00:00Z, by the operator\n")
}
