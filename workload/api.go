// Package workload is the HTTP of the workload sockets, the shared one and each
// module's own. It knows no containerd and no SQL.
package workload

import (
	"context"
	"net/http"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/module"
)

// Supervisor is what the routes ask of the domain.
type Supervisor interface {
	List(ctx context.Context) []*module.State
}

// Views encodes lists of modules without their environments.
type Views interface {
	List(states []*module.State, env bool) []byte
}

// Config is what the API needs.
type Config struct {
	Supervisor Supervisor
	Views      Views
	Decider    *access.Decider
	Audit      *audit.Log
	Limits     httpapi.Limits
}

type api struct{ Config }

// routes is the whole workload API with who may use it.
func (a *api) routes() []httpapi.Route {
	return []httpapi.Route{
		{Method: http.MethodGet, Path: "/modules", Since: "2018-06-28", Rule: access.Known, Handle: a.listModules},
	}
}

// New returns the handler of the workload sockets.
func New(cfg Config) http.Handler {
	a := &api{cfg}
	m := &httpapi.Mount{
		Routes: a.routes(), Versions: true, WriteError: httpapi.MessageError,
		Decider: a.Decider, Audit: a.Audit, Limits: a.Limits,
	}
	return m.Handler()
}

// listModules shows nobody's environment: whoever may see one asks the management socket.
func (a *api) listModules(w http.ResponseWriter, r *httpapi.Request) error {
	httpapi.WriteBytes(w, http.StatusOK, a.Views.List(a.Supervisor.List(r.Context()), false))
	return nil
}
