package mgmt

import (
	"net/http"
	"strconv"

	"github.com/edged/edged/contrib/openapi"
	"github.com/edged/edged/pkg/httpapi"
)

// openAPI answers with the document of one of the APIs. The type is RFC 9512's.
func openAPI(w http.ResponseWriter, r *httpapi.Request) error {
	name, err := r.Var("document")
	if err != nil {
		return err
	}
	text, err := openapi.Read(name)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/yaml")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	httpapi.Deadline(w)
	_, _ = w.Write(text) // the client may have left
	return nil
}
