package workload

import (
	"net/http"
	"time"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/ca"
	"github.com/edged/edged/pkg/httpapi"
)

type (
	certificateRequest struct {
		// CommonName is a server's, a DNS name or an address.
		CommonName string `json:"commonName"`
		// Expiration is RFC 3339; empty is the default.
		Expiration string `json:"expiration"`
	}
	certificateAnswer struct {
		PrivateKey  privateKey `json:"privateKey"`
		Certificate string     `json:"certificate"`
		Expiration  string     `json:"expiration"`
	}
	privateKey struct {
		Type  string `json:"type"`
		Bytes string `json:"bytes"`
	}
	bundle struct {
		Certificate string `json:"certificate"`
	}
)

// identityCertificate has no generation id in its path: the one that the asker's
// container was made with stands for it.
func (a *api) identityCertificate(w http.ResponseWriter, r *httpapi.Request) error {
	id, err := a.made(r)
	if err != nil {
		return err
	}
	_, end, err := readCertificateRequest(r.OptionalJSON) // the name is the module's, whatever is asked
	if err != nil {
		return err
	}
	issued, err := a.Certificates.Client(r.Context(), id, end)
	return answerCertificate(w, issued, err)
}

func (a *api) serverCertificate(w http.ResponseWriter, r *httpapi.Request) error {
	id, err := a.current(r)
	if err != nil {
		return err
	}
	body, end, err := readCertificateRequest(r.JSON)
	if err != nil {
		return err
	}
	if body.CommonName == "" {
		return invalid("commonName", "it is missing or empty")
	}
	own, err := a.Certificates.Serves(r.Context(), id, body.CommonName)
	if err != nil {
		return err
	}
	if !own && !a.Decider.MayServe(r.Caller, body.CommonName) {
		return &access.Refusal{Rule: "server name", Reason: "not_your_name"}
	}
	issued, err := a.Certificates.Server(r.Context(), id, body.CommonName, end)
	return answerCertificate(w, issued, err)
}

func readCertificateRequest(decode func(any) error) (body certificateRequest, end time.Time, err error) {
	if err := decode(&body); err != nil {
		return body, end, err
	}
	if body.Expiration == "" {
		return body, end, nil
	}
	if end, err = time.Parse(time.RFC3339, body.Expiration); err != nil {
		return body, end, invalid("expiration", "it is not a time in RFC 3339, as 2026-01-02T03:04:05Z")
	}
	if end.IsZero() { // which would be none
		return body, end, invalid("expiration", "it is past")
	}
	return body, end, nil
}

func answerCertificate(w http.ResponseWriter, issued *ca.Issued, err error) error {
	if err != nil {
		return err
	}
	defer clear(issued.PrivateKey)
	httpapi.WriteJSON(w, http.StatusCreated, certificateAnswer{
		PrivateKey:  privateKey{"key", string(issued.PrivateKey)},
		Certificate: string(issued.Certificate) + string(issued.Chain),
		Expiration:  issued.NotAfter.UTC().Format(time.RFC3339),
	})
	return nil
}

func (a *api) trustBundle(w http.ResponseWriter, _ *httpapi.Request) error {
	httpapi.WriteJSON(w, http.StatusOK, bundle{string(a.Trust.TrustBundle())})
	return nil
}

// manifestTrustBundle is for manifests that somebody signed, of which there are none
// here: an empty one says so, as clients expect.
func (a *api) manifestTrustBundle(w http.ResponseWriter, _ *httpapi.Request) error {
	httpapi.WriteJSON(w, http.StatusOK, bundle{})
	return nil
}
