package bundles

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/bundle"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/peer"
)

// routing are the statuses whose text is the contract's own framework's, and not edged's.
var routing = map[int]bool{http.StatusMethodNotAllowed: true, http.StatusUnsupportedMediaType: true}

// writeError answers in this contract's shape. It is the one map of its errors.
func writeError(w http.ResponseWriter, status int, err error) {
	if status == http.StatusForbidden {
		refuse(w, err)
		return
	}
	e := wire.BundleError{Status: status, ReasonPhrase: http.StatusText(status), Message: httpapi.Message(err)}
	var failed *bundle.Failed
	switch {
	case errors.As(err, &failed):
		e.Message, e.Cause = failed.Error(), cause(failed)
	case routing[status], status == http.StatusNotFound && httpapi.IsRouting(err):
		e.Message = fmt.Sprintf("HTTP %d %s", status, e.ReasonPhrase)
	}
	httpapi.WriteJSON(w, status, e)
}

// cause is what the framework said: the exception at the bottom, and where there is more to
// it the one at the top.
func cause(failed *bundle.Failed) string {
	var no *bundle.Refused
	if !errors.As(failed.Cause, &no) {
		return httpapi.Message(failed.Cause)
	}
	text := no.Error()
	if no.Root != "" && no.Root != text {
		text += "; caused by " + no.Root
	}
	return text
}

// refuse answers who may not in plain text. The status is the contract's; no credentials
// would help, but clients know what to make of it.
func refuse(w http.ResponseWriter, err error) {
	who := "unknown"
	var refusal *access.Refusal
	if errors.As(err, &refusal) {
		who = name(refusal.Caller)
	}
	text := fmt.Sprintf("user %s is not allowed to access Module Manager HTTP API", who)
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("WWW-Authenticate", `Basic realm="edged"`)
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte(text))
}

// name is a caller's own name, which it may know, in the manner of the contract's.
func name(c peer.Caller) string {
	switch c.Kind {
	case peer.Module:
		return "/modules/" + c.Module()
	case peer.Host:
		return fmt.Sprintf("/users/%d", c.UID)
	}
	return "unknown"
}
