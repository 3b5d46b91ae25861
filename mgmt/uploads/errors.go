package uploads

import (
	"net/http"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/upload"
)

// statuses are those of codes whose class has another one elsewhere: in this contract what
// exists already is the request's fault, and what the state forbids is not acceptable.
var statuses = map[upload.Code]int{
	upload.ModuleExists:   http.StatusBadRequest,
	upload.ModuleInUse:    http.StatusNotAcceptable,
	upload.ModuleTooLarge: http.StatusRequestEntityTooLarge,
}

// words are the codes of errors that are not the domain's, by their status.
var words = map[int]string{
	http.StatusBadRequest:            "bad_request",
	http.StatusForbidden:             "forbidden",
	http.StatusNotFound:              "not_found",
	http.StatusMethodNotAllowed:      "method_not_allowed",
	http.StatusRequestTimeout:        "request_timeout",
	http.StatusRequestEntityTooLarge: string(upload.ModuleTooLarge),
	http.StatusServiceUnavailable:    "service_unavailable",
	http.StatusInsufficientStorage:   string(upload.InsufficientStorage),
}

// writeError answers in this contract's shape. It is the one map of its errors.
func writeError(w http.ResponseWriter, status int, err error) {
	code := upload.CodeOf(err)
	if own, ok := statuses[code]; ok {
		status = own
	}
	e := wire.PackageError{ErrorCode: string(code), Message: httpapi.Message(err)}
	if code == "" {
		if e.ErrorCode = words[status]; e.ErrorCode == "" {
			e.ErrorCode = "internal_error"
		}
	}
	e.Description = e.Message
	httpapi.WriteJSON(w, status, e)
}
