package mgmt

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/openapi"
	"github.com/edged/edged/contrib/openapi/openapitest"
)

// document is what each answer that a test of this package gets is held to.
var document = openapitest.Open("management.yaml")

func TestTheDocumentHasEachRouteAndNoOther(t *testing.T) {
	a := &api{newFixture(t).cfg}
	document(t).Routes(t, append(a.routes(), a.plainRoutes()...))
}

func TestDocumentsAreServed(t *testing.T) {
	f := newFixture(t)
	for _, name := range openapi.Names {
		text, err := openapi.Read(name)
		require.NoError(t, err)
		w := f.ask("other", "GET", "/openapi/"+name, "")
		require.Equal(t, 200, w.Code)
		require.Equal(t, string(text), w.Body.String())
		require.Equal(t, "application/yaml", w.Header().Get("Content-Type"))
		require.Equal(t, fmt.Sprint(len(text)), w.Header().Get("Content-Length"))
		require.Equal(t, 403, f.ask("foreign", "GET", "/openapi/"+name, "").Code)
	}
	for _, name := range []string{"none.yaml", "openapi.go", "..%2Fopenapi.go", "management.yaml/", "%00"} {
		require.Equal(t, 404, f.ask("root", "GET", "/openapi/"+name, "").Code, name)
	}
	require.Contains(t, message(t, f.ask("root", "GET", "/openapi/none.yaml", "")), "management.yaml, workload.yaml")
	require.Equal(t, 405, f.ask("root", "PUT", "/openapi/management.yaml", "{}").Code)
}
