package mgmt

import (
	"net/http"

	"github.com/edged/edged/pkg/httpapi"
)

func (a *api) systemInfo(w http.ResponseWriter, r *httpapi.Request) error {
	httpapi.WriteJSON(w, http.StatusOK, a.SystemInfo(r.Context()))
	return nil
}

func (a *api) networks(w http.ResponseWriter, _ *httpapi.Request) error {
	httpapi.WriteJSON(w, http.StatusOK, a.Networks())
	return nil
}

func (a *api) metrics(w http.ResponseWriter, _ *httpapi.Request) error {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	httpapi.Deadline(w)
	a.Metrics(w)
	return nil
}
