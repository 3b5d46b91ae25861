// Package bundles is the HTTP of bundles, /modules/api/bundles: the route table, the keys and
// selectors in paths, the wire shapes and the error shape of the Jahia DX Module Manager's
// API. It decides nothing.
package bundles

import (
	"context"
	"net/http"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/bundle"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/metrics"
)

// Bundles is what the routes ask of the domain.
type Bundles interface {
	List() []*bundle.Record
	Held(r *bundle.Record) bool
	Info(ctx context.Context, key string) (bundle.Info, error)
	Infos(ctx context.Context, keys []string) ([]bundle.Named, error)
	Select(ctx context.Context, s bundle.Selector) ([]bundle.Named, error)
	Receive(size int64) (*bundle.Upload, error)
	Start(ctx context.Context, key string) (bundle.Key, error)
	Stop(ctx context.Context, key string) (bundle.Key, error)
	Uninstall(ctx context.Context, key string) (bundle.Key, error)
	Refresh(ctx context.Context, key string) (bundle.Key, error)
	Update(ctx context.Context, key string) (bundle.Key, error)
	StoreStates(ctx context.Context) ([]bundle.PersistentState, error)
	StoredStates(ctx context.Context) ([]bundle.PersistentState, error)
	RestoreStates(ctx context.Context, states []bundle.PersistentState) ([]bundle.Key, error)
}

// Config is what the API needs.
type Config struct {
	Bundles Bundles
	// Node is the name of this device, and Groups are those it belongs to.
	Node   string
	Groups []string
	// MaxSize of all bundles of a request, in bytes.
	MaxSize  int64
	Decider  *access.Decider
	Audit    *audit.Log
	Requests *metrics.Requests
	Limits   httpapi.Limits
}

// Root is what the paths are or begin with.
const Root = "/modules/api/bundles"

type api struct{ Config }

// routes is the whole API with who may use it. A key has slashes, and no operation has one
// behind it, so the last part of a path is what is asked for.
func (a *api) routes() []httpapi.Route {
	admin := access.Permitted(access.AdminTemplates)
	const key, selector = Root + "/{key:.*}", Root + "/{selector:.*}"
	routes := []httpapi.Route{
		{Method: http.MethodPost, Path: Root, Rule: admin, Change: true, Handle: a.install},
		{Method: http.MethodPost, Path: Root + "/", Rule: admin, Change: true, Handle: a.install},
		{Method: http.MethodPost, Path: Root + "/_storeAllLocalPersistentStates", Rule: admin, Change: true, Handle: a.storeStates},
		// edged's own: what was stored, the way back to it, and what an operator wants to see.
		{Method: http.MethodGet, Path: Root + "/_localPersistentStates", Rule: admin, Handle: a.storedStates},
		{Method: http.MethodPost, Path: Root + "/_restoreAllLocalPersistentStates", Rule: admin, Change: true, Handle: a.restoreStates},
		{Method: http.MethodGet, Path: Root + "/_list", Rule: admin, Handle: a.list},
		{Method: http.MethodGet, Path: selector + "/_info", Fits: anySelector.fits, Rule: admin, Handle: a.info},
		{Method: http.MethodGet, Path: selector + "/_localInfo", Fits: anySelector.fits, Rule: admin, Handle: a.localInfo},
		{Method: http.MethodGet, Path: selector + "/_localState", Fits: keysAlone.fits, Rule: admin, Handle: a.localState},
	}
	for _, op := range []struct {
		path string
		do   func(context.Context, string) (bundle.Key, error)
	}{
		{"/_start", a.Bundles.Start},
		{"/_stop", a.Bundles.Stop},
		{"/_uninstall", a.Bundles.Uninstall},
		{"/_refresh", a.Bundles.Refresh},
		{"/_update", a.Bundles.Update},
	} {
		routes = append(routes, httpapi.Route{Method: http.MethodPost, Path: key + op.path, Rule: admin, Change: true, Handle: a.operation(op.do)})
	}
	return routes
}

// New returns the handler of the root.
func New(cfg Config) http.Handler {
	a := &api{cfg}
	handler := a.mount(a.routes()).Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Pragma", "no-cache")
		handler.ServeHTTP(w, r)
	})
}

func (a *api) mount(routes []httpapi.Route) *httpapi.Mount {
	return &httpapi.Mount{Name: "bundles", Routes: routes, WriteError: writeError, Refusal: http.StatusUnauthorized, Decider: a.Decider, Audit: a.Audit, Requests: a.Requests, Limits: a.Limits}
}
