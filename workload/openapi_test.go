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
