// Package workload is the HTTP of the workload sockets, the shared one and each
// module's own. It knows no containerd and no SQL.
package workload

import (
	"context"
	"net/http"
	"time"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/ca"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/identity"
	"github.com/edged/edged/pkg/metrics"
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

// Identities knows who modules are. The error is errdefs.NotFound.
type Identities interface {
	Get(name string) (identity.Identity, error)
	Current(name, generationID string) (identity.Identity, error)
}

// Keys signs and encrypts as a module.
type Keys interface {
	Sign(ctx context.Context, id identity.Identity, key string, data []byte) ([]byte, error)
	Encrypt(ctx context.Context, id identity.Identity, plaintext, iv []byte) ([]byte, error)
	Decrypt(ctx context.Context, id identity.Identity, ciphertext, iv []byte) ([]byte, error)
}

// Certificates issues certificates to modules.
type Certificates interface {
	Client(ctx context.Context, id identity.Identity, notAfter time.Time) (*ca.Issued, error)
	Server(ctx context.Context, id identity.Identity, name string, notAfter time.Time) (*ca.Issued, error)
	Serves(ctx context.Context, id identity.Identity, name string) (bool, error)
}

// Trust is what modules trust, PEM.
type Trust interface{ TrustBundle() []byte }

// Config is what the API needs.
type Config struct {
	Supervisor   Supervisor
	Identities   Identities
	Keys         Keys
	Certificates Certificates
	Trust        Trust
	Views        Views
	Decider      *access.Decider
	Audit        *audit.Log
	Requests     *metrics.Requests
	Limits       httpapi.Limits
}

type api struct{ Config }

// routes is the whole workload API with who may use it.
func (a *api) routes() []httpapi.Route {
	const v2018 = "2018-06-28"
	return []httpapi.Route{
		{Method: http.MethodGet, Path: "/modules", Since: v2018, Rule: access.Known, Handle: a.listModules},
		{Method: http.MethodPost, Path: "/modules/{name}/genid/{genid}/sign", Since: v2018, Rule: access.Named, Handle: a.sign},
		{Method: http.MethodPost, Path: "/modules/{name}/genid/{genid}/encrypt", Since: v2018, Rule: access.Named, Handle: a.encrypt},
		{Method: http.MethodPost, Path: "/modules/{name}/genid/{genid}/decrypt", Since: v2018, Rule: access.Named, Handle: a.decrypt},
		{Method: http.MethodPost, Path: "/modules/{name}/certificate/identity", Since: v2018, Rule: access.Named, Change: true, Handle: a.identityCertificate},
		{Method: http.MethodPost, Path: "/modules/{name}/genid/{genid}/certificate/server", Since: v2018, Rule: access.Named, Change: true, Handle: a.serverCertificate},
		{Method: http.MethodGet, Path: "/trust-bundle", Since: v2018, Rule: access.Known, Handle: a.trustBundle},
		{Method: http.MethodGet, Path: "/manifest-trust-bundle", Since: v2018, Rule: access.Known, Handle: a.manifestTrustBundle},
	}
}

// New returns the handler of the workload sockets.
func New(cfg Config) http.Handler {
	a := &api{cfg}
	m := &httpapi.Mount{
		Name: "workload", Routes: a.routes(), Versions: true, WriteError: httpapi.MessageError,
		Decider: a.Decider, Audit: a.Audit, Requests: a.Requests, Limits: a.Limits,
	}
	return httpapi.InTurn(m.Handler())
}

// listModules shows nobody's environment: whoever may see one asks the management socket.
func (a *api) listModules(w http.ResponseWriter, r *httpapi.Request) error {
	httpapi.WriteBytes(w, http.StatusOK, a.Views.List(a.Supervisor.List(r.Context()), false))
	return nil
}
