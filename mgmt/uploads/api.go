// Package uploads is the HTTP of packages, /v1/modules and /v2/modules: the route table,
// the wire shapes and the error shape of the Redis Enterprise API. It decides nothing.
package uploads

import (
	"context"
	"net/http"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/metrics"
	"github.com/edged/edged/pkg/upload"
)

// Packages is what the routes ask of the domain.
type Packages interface {
	List() *upload.Snapshot
	Get(uid string) (*upload.Package, error)
	Receive(ctx context.Context, size int64) (*upload.Upload, error)
	Delete(ctx context.Context, uid string) error
	DeleteLater(ctx context.Context, uid string) (*upload.Action, error)
	Action(uid string) (*upload.Action, error)
}

// Config is what the API needs.
type Config struct {
	Packages Packages
	// MaxSize of a package in bytes.
	MaxSize  int64
	Decider  *access.Decider
	Audit    *audit.Log
	Requests *metrics.Requests
	Limits   httpapi.Limits
}

// Roots are what the paths begin with.
var Roots = []string{"/v1", "/v2"}

type api struct {
	Config
	views views
}

// routes is the whole API with who may use it. Databases, which the original has modules
// for, are not edged's: their paths are not found.
func (a *api) routes() []httpapi.Route {
	view, update := access.Permitted(access.ViewClusterModules), access.Permitted(access.UpdateCluster)
	return []httpapi.Route{
		{Method: http.MethodGet, Path: "/v1/modules", Rule: view, Handle: a.list},
		{Method: http.MethodPost, Path: "/v1/modules", Rule: update, Change: true, Handle: a.add},
		{Method: http.MethodGet, Path: "/v1/modules/{uid}", Rule: view, Handle: a.get},
		{Method: http.MethodDelete, Path: "/v1/modules/{uid}", Rule: update, Change: true, Handle: a.remove},
		{Method: http.MethodPost, Path: "/v2/modules", Rule: update, Change: true, Handle: a.addLater},
		{Method: http.MethodDelete, Path: "/v2/modules/{uid}", Rule: update, Change: true, Handle: a.removeLater},
		{Method: http.MethodGet, Path: "/v1/actions/{uid}", Rule: view, Handle: a.action},
		{Method: http.MethodGet, Path: "/v1/cluster/module-capabilities", Rule: view, Handle: a.capabilities},
	}
}

// New returns the handler of both roots.
func New(cfg Config) http.Handler {
	a := &api{Config: cfg}
	return a.mount(a.routes()).Handler()
}

func (a *api) mount(routes []httpapi.Route) *httpapi.Mount {
	return &httpapi.Mount{Name: "uploads", Routes: routes, WriteError: writeError, Decider: a.Decider, Audit: a.Audit, Requests: a.Requests, Limits: a.Limits}
}
