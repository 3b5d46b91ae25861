// Package catalog is the HTTP of the catalog on the management socket: its routes, its
// JSON and its errors, which are those of the API that clients know (Fedora's PDC). The
// rules of rows are pkg/catalog's.
package catalog

import (
	"context"
	"iter"
	"net/http"
	"os"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	domain "github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/metrics"
)

// Root is what all paths of the API begin with.
const Root = "/rest_api"

// Catalog is what the routes ask of the domain.
type Catalog interface {
	Page(ctx context.Context, q *domain.Query) (domain.Page, error)
	Rows(ctx context.Context, ids []int64, fields domain.Fields, fn func(*domain.Row) bool) (int, error)
	Get(ctx context.Context, uid string, filters []domain.Filter) (*domain.Row, error)
	Create(ctx context.Context, body any) (*domain.Row, error)
	Update(ctx context.Context, uid string, filters []domain.Filter, body any, partial bool) (*domain.Row, error)
	Delete(ctx context.Context, uid string, filters []domain.Filter) error
	CreateMany(ctx context.Context, bodies iter.Seq2[any, error], done func(*domain.Row) error) error
	UpdateMany(ctx context.Context, filters []domain.Filter, items iter.Seq2[domain.Item, error], partial bool, done func(uid string, r *domain.Row) error) error
	DeleteMany(ctx context.Context, filters []domain.Filter, items iter.Seq2[any, error]) (int, error)
}

// Config is what the API needs.
type Config struct {
	Catalog  Catalog
	Decider  *access.Decider
	Audit    *audit.Log
	Requests *metrics.Requests
	// Limits has the largest body for one row; Bulk is that for many.
	Limits httpapi.Limits
	Bulk   int64
	// Spool makes a file without a name for what is too large for memory.
	Spool func() (*os.File, error)
	// Room is errdefs.Unavailable when the disk has none for such files.
	Room func() error
}

type api struct {
	Config
	bulk chan struct{} // requests for many rows, one at a time
}

// New returns the handler of all paths below Root.
func New(cfg Config) http.Handler {
	a := &api{cfg, make(chan struct{}, 1)}
	m := &httpapi.Mount{
		Name: "catalog", Routes: a.routes(), WriteError: writeError, Slashes: true, Vary: "Accept, Cookie",
		Decider: cfg.Decider, Audit: cfg.Audit, Requests: cfg.Requests, Limits: cfg.Limits,
	}
	return httpapi.InTurn(m.Handler())
}

// routes is the whole API with who may use it. The order of a path's methods is that of
// the header Allow.
func (a *api) routes() []httpapi.Route {
	const root, token, list, one = Root + "/v1/", Root + "/v1/auth/token/obtain/", Root + "/v1/modules/", Root + "/v1/modules/{uid}/"
	write := access.Permitted(access.CatalogWrite)
	return []httpapi.Route{
		{Method: http.MethodGet, Path: root, Rule: access.Known, Handle: a.root},
		{Method: http.MethodHead, Path: root, Rule: access.Known, Handle: a.root},
		{Method: http.MethodOptions, Path: root, Rule: access.Known, Handle: describe("API Root")},
		{Method: http.MethodGet, Path: token, Rule: access.Known, Handle: a.token},
		{Method: http.MethodHead, Path: token, Rule: access.Known, Handle: a.token},
		{Method: http.MethodOptions, Path: token, Rule: access.Known, Handle: describe("Token")},
		{Method: http.MethodGet, Path: list, Rule: access.Known, Handle: a.list},
		{Method: http.MethodPost, Path: list, Rule: write, Change: true, Body: a.Bulk, Handle: a.create},
		{Method: http.MethodPut, Path: list, Rule: write, Change: true, Body: a.Bulk, Handle: a.updateMany},
		{Method: http.MethodPatch, Path: list, Rule: write, Change: true, Body: a.Bulk, Handle: a.updateMany},
		{Method: http.MethodDelete, Path: list, Rule: write, Change: true, Body: a.Bulk, Handle: a.deleteMany},
		{Method: http.MethodHead, Path: list, Rule: access.Known, Handle: a.list},
		{Method: http.MethodOptions, Path: list, Rule: access.Known, Handle: describe("Module List")},
		{Method: http.MethodGet, Path: one, Rule: access.Known, Handle: a.get},
		{Method: http.MethodPut, Path: one, Rule: write, Change: true, Handle: a.update},
		{Method: http.MethodPatch, Path: one, Rule: write, Change: true, Handle: a.update},
		{Method: http.MethodDelete, Path: one, Rule: write, Change: true, Handle: a.delete},
		{Method: http.MethodHead, Path: one, Rule: access.Known, Handle: a.get},
		{Method: http.MethodOptions, Path: one, Rule: access.Known, Handle: describe("Module Instance")},
	}
}

// root says where what is: clients that are given no resource ask for it.
func (a *api) root(w http.ResponseWriter, r *httpapi.Request) error {
	if err := acceptable(r); err != nil {
		return err
	}
	httpapi.WriteJSON(w, http.StatusOK, map[string]string{"modules": address(r, Root+"/v1/modules/")})
	return nil
}

// token answers what clients ask for before anything else. It is the same for everybody
// and opens nothing: who asks is known from the kernel.
func (a *api) token(w http.ResponseWriter, r *httpapi.Request) error {
	if err := acceptable(r); err != nil {
		return err
	}
	httpapi.WriteJSON(w, http.StatusOK, map[string]string{"token": "0000000000000000000000000000000000000000"})
	return nil
}

// describe answers OPTIONS.
func describe(name string) httpapi.Handler {
	return func(w http.ResponseWriter, r *httpapi.Request) error {
		if err := domain.CheckParams(r.Query); err != nil {
			return err
		}
		httpapi.WriteJSON(w, http.StatusOK, map[string]any{
			"name": name, "description": "The builds on this device: see the API's documentation.",
			"renders": []string{mediaJSON}, "parses": []string{mediaJSON, mediaForm, mediaMultipart},
		})
		return nil
	}
}

// address is an absolute URL on the socket that the client came by: of the host that it
// named itself, so that it can go there as it came here.
func address(r *httpapi.Request, path string) string {
	host := r.Host
	if host == "" {
		host = "localhost"
	}
	return "http://" + host + path
}
