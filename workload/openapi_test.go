package workload

import (
	"testing"

	"github.com/edged/edged/contrib/openapi/openapitest"
)

// document is what each answer that a test of this package gets is held to.
var document = openapitest.Open("workload.yaml")

func TestTheDocumentHasEachRouteAndNoOther(t *testing.T) {
	document(t).Routes(t, (&api{config(t)}).routes())
}

// TestTheDocumentHasTheseShapes: a member that is new here is new there.
func TestTheDocumentHasTheseShapes(t *testing.T) {
	for schema, v := range map[string]any{
		"SignAnswer": signAnswer{}, "EncryptAnswer": encryptAnswer{}, "DecryptAnswer": decryptAnswer{},
		"CertificateAnswer": certificateAnswer{}, "PrivateKey": privateKey{}, "TrustBundle": bundle{},
	} {
		document(t).Shape(t, schema, v, true)
	}
	for schema, v := range map[string]any{"SignRequest": signRequest{}, "EncryptRequest": encryptRequest{}, "DecryptRequest": decryptRequest{}, "ServerCertificateRequest": certificateRequest{}} {
		document(t).Shape(t, schema, v, false)
	}
}
