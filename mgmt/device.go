package mgmt

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
)

func (a *api) getCA(w http.ResponseWriter, _ *httpapi.Request) error {
	httpapi.WriteJSON(w, http.StatusOK, a.deviceCA())
	return nil
}

func (a *api) renewCA(w http.ResponseWriter, r *httpapi.Request) error {
	if err := a.CA.Renew(r.Context()); err != nil {
		return err
	}
	httpapi.WriteJSON(w, http.StatusOK, a.deviceCA())
	return nil
}

func (a *api) deviceCA() wire.DeviceCA {
	info := a.CA.Info()
	answer := wire.DeviceCA{
		Source: wire.SourceDevice, CACertificate: caCertificate(info.Certificate),
		Serial: hex.EncodeToString(info.Certificate.SerialNumber.Bytes()), RenewAt: timeText(info.RenewAt),
		Certificate: string(info.PEM), Trust: []wire.CACertificate{},
	}
	if info.Operator {
		answer.Source = wire.SourceOperator
	}
	for _, c := range info.Trust {
		answer.Trust = append(answer.Trust, caCertificate(c))
	}
	return answer
}

func caCertificate(c *x509.Certificate) wire.CACertificate {
	print := sha256.Sum256(c.Raw)
	return wire.CACertificate{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), NotBefore: timeText(c.NotBefore), NotAfter: timeText(c.NotAfter), SHA256: hex.EncodeToString(print[:]),
	}
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }
