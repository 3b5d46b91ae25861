package catalog

import (
	"testing"

	"github.com/edged/edged/contrib/openapi/openapitest"
)

// document is what each answer that a test of this package gets is held to.
var document = openapitest.Open("catalog.yaml")

func TestTheDocumentHasEachRouteAndNoOther(t *testing.T) {
	document(t).Routes(t, (&api{}).routes())
}
