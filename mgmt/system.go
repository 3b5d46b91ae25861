package mgmt

import (
	"net/http"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/support"
)

func (a *api) systemInfo(w http.ResponseWriter, r *httpapi.Request) error {
	httpapi.WriteJSON(w, http.StatusOK, a.SystemInfo(r.Context()))
	return nil
}

func (a *api) resources(w http.ResponseWriter, _ *httpapi.Request) error {
	used, err := a.Resources()
	if err == nil {
		httpapi.WriteJSON(w, http.StatusOK, used)
	}
	return err
}

// supportBundle streams. What fails once it has begun breaks the stream off, which
// leaves no archive that could be taken for a whole one.
func (a *api) supportBundle(w http.ResponseWriter, r *httpapi.Request) error {
	var opt support.Options
	var err error
	if opt.RuntimeOnly, err = r.Bool("edge_runtime_only"); err != nil {
		return err
	}
	if opt.Since, opt.Until, err = period(r); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="support-bundle.zip"`)
	return a.SupportBundle(r.Context(), &logWriter{w: w, control: http.NewResponseController(w)}, opt)
}

func (a *api) reprovision(w http.ResponseWriter, _ *httpapi.Request) error {
	return noContent(w, a.Reprovision())
}

func (a *api) networks(w http.ResponseWriter, _ *httpapi.Request) error {
	httpapi.WriteJSON(w, http.StatusOK, a.Networks())
	return nil
}

func (a *api) setLogLevel(w http.ResponseWriter, r *httpapi.Request) error {
	var body wire.LogLevel
	if err := r.JSON(&body); err != nil {
		return err
	}
	before, err := a.SetLogLevel(body.Level)
	if err == nil {
		httpapi.WriteJSON(w, http.StatusOK, wire.LogLevel{Level: body.Level, Before: before})
	}
	return err
}

func (a *api) metrics(w http.ResponseWriter, _ *httpapi.Request) error {
	w.Header().Set("Content-Type", metricsType)
	httpapi.Deadline(w)
	a.Metrics(w)
	return nil
}
