// Package mgmt is the HTTP of the management socket: the one route table, then a
// file a resource. It knows no containerd and no SQL.
package mgmt

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/ca"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/identity"
	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/metrics"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/modulelog"
	"github.com/edged/edged/pkg/support"
	"github.com/edged/edged/pkg/volume"
)

// Supervisor is what the routes ask of the domain.
type Supervisor interface {
	List(ctx context.Context) []*module.State
	All(ctx context.Context) []*module.State
	Get(ctx context.Context, name string) (*module.State, error)
	Create(ctx context.Context, spec module.Spec) (*module.State, error)
	Update(ctx context.Context, spec module.Spec, start bool, answered <-chan struct{}) (*module.State, error)
	Delete(ctx context.Context, name string) error
	Prepare(ctx context.Context, spec module.Spec) error
	Check(spec module.Spec) error
	Start(ctx context.Context, name string) error
	Stop(ctx context.Context, name string, byHost bool) error
	Restart(ctx context.Context, name string) error
	Changed() <-chan struct{}
}

// Identities keeps who modules are to the workload API.
type Identities interface {
	List() []identity.Identity
	Create(ctx context.Context, moduleID, managedBy string) (identity.Identity, error)
	Update(ctx context.Context, name, managedBy string) (identity.Identity, error)
	Delete(ctx context.Context, name string) error
}

// Images owns the images of the device.
type Images interface {
	List(ctx context.Context) ([]image.Entry, error)
	Pull(ctx context.Context, ref string, auth *module.Auth, report func(image.Progress)) (module.Image, error)
	Prune(ctx context.Context, all bool) ([]image.Removed, error)
}

// Logs reads a module's log.
type Logs interface {
	Copy(ctx context.Context, w io.Writer, module string, opt modulelog.Options, done <-chan struct{}) error
}

// Volumes is what the routes ask of the volumes.
type Volumes interface {
	List(ctx context.Context) ([]volume.Volume, error)
	Remove(ctx context.Context, name string) error
	Prune(ctx context.Context) ([]string, error)
}

// CA is the device's certificate authority.
type CA interface {
	Info() ca.Info
	Renew(ctx context.Context) error
}

// Config is what the API needs.
type Config struct {
	Supervisor Supervisor
	Identities Identities
	Images     Images
	Logs       Logs
	Volumes    Volumes
	Views      *Views
	Decider    *access.Decider
	Audit      *audit.Log
	Requests   *metrics.Requests
	Limits     httpapi.Limits
	// DockerFraming frames logs as Docker does for every client, not only for those that ask.
	DockerFraming bool
	// Stopping ends when edged begins to stop: followed logs end with it, all else is finished.
	Stopping context.Context //nolint:containedctx // it is a signal to all requests, not one's own context
	// CA is the device's.
	CA CA
	// Secrets seals them.
	Secrets Sealer
	// Deployments are what operators give to the agent.
	Deployments Deployments
	// SystemInfo answers GET /systeminfo.
	SystemInfo func(ctx context.Context) wire.SystemInfo
	// Resources answers GET /systeminfo/resources.
	Resources func() (wire.SystemResources, error)
	// SupportBundle writes a zip archive, until the client leaves.
	SupportBundle func(ctx context.Context, w io.Writer, opt support.Options) error
	// Reprovision reads anew what the device is told to be.
	Reprovision func() error
	// Networks answers GET /networks.
	Networks func() wire.NetworkList
	// SetLogLevel changes what edged logs until it ends, and returns what it was before;
	// errdefs.InvalidArgument for a word that is no level.
	SetLogLevel func(level string) (before string, err error)
	// Metrics writes them in Prometheus' text format.
	Metrics func(w io.Writer)
	// AuditTable answers GET /audit.
	AuditTable AuditTable
	// Further are the APIs beside the contract.
	Further []Mount
}

// Mount is an API with paths, error shape and rules of its own on the management socket.
type Mount struct {
	// Root is what its paths are or begin with, without a slash at its end: "/v1".
	Root string
	http.Handler
}

// has says whether a path, escaped as it came, is the mount's.
func (m *Mount) has(path string) bool {
	rest, ok := strings.CutPrefix(path, m.Root)
	return ok && (rest == "" || rest[0] == '/')
}

type api struct{ Config }

// routes is the whole management API with who may use it. A wrong rule is a wrong
// word here, and testdata/access.golden shows every route against every caller.
func (a *api) routes() []httpapi.Route {
	const v2018, v2019, v2019Oct, v2019Nov, v2020, v2022 = "2018-06-28", "2019-01-30", "2019-10-22", "2019-11-05", "2020-07-07", "2022-08-03"
	return []httpapi.Route{
		{Method: http.MethodGet, Path: "/modules", Since: v2018, Rule: access.Known, Handle: a.listModules},
		{Method: http.MethodPost, Path: "/modules", Since: v2018, Rule: access.Agent, Change: true, Handle: a.createModule},
		{Method: http.MethodGet, Path: "/modules/{name}", Since: v2018, Rule: access.Known, Handle: a.getModule},
		{Method: http.MethodPut, Path: "/modules/{name}", Since: v2018, Rule: access.Agent, Change: true, Handle: a.updateModule},
		{Method: http.MethodDelete, Path: "/modules/{name}", Since: v2018, Rule: access.Agent, Change: true, Handle: a.deleteModule},
		{Method: http.MethodPost, Path: "/modules/{name}/prepareupdate", Since: v2019, Rule: access.Agent, Change: true, Handle: a.prepareUpdate},
		{Method: http.MethodPost, Path: "/modules/{name}/start", Since: v2018, Rule: access.Known, Change: true, Handle: a.startModule},
		{Method: http.MethodPost, Path: "/modules/{name}/stop", Since: v2018, Rule: access.Lifecycle, Change: true, Handle: a.stopModule},
		{Method: http.MethodPost, Path: "/modules/{name}/restart", Since: v2018, Rule: access.Lifecycle, Change: true, Handle: a.restartModule},
		{Method: http.MethodGet, Path: "/modules/{name}/logs", Since: v2018, Rule: access.Known, Handle: a.logs},
		{Method: http.MethodGet, Path: "/identities", Since: v2018, Rule: access.Agent, Handle: a.listIdentities},
		{Method: http.MethodPost, Path: "/identities", Since: v2018, Rule: access.Agent, Change: true, Handle: a.createIdentity},
		{Method: http.MethodPut, Path: "/identities/{name}", Since: v2018, Rule: access.Agent, Change: true, Handle: a.updateIdentity},
		{Method: http.MethodDelete, Path: "/identities/{name}", Since: v2018, Rule: access.Agent, Change: true, Handle: a.deleteIdentity},
		// What is wrong with a spec is told to who writes it, before it is the agent's to act upon.
		{Method: http.MethodPost, Path: "/modules/{name}/check", Since: v2022, Rule: access.Operator, Handle: a.checkModule},
		// edged's own. A volume may be called "prune": its path must not be taken for another's.
		{Method: http.MethodGet, Path: "/volumes", Since: v2022, Rule: access.Known, Handle: a.listVolumes},
		{Method: http.MethodPost, Path: "/volumes/prune", Since: v2022, Rule: access.Operator, Change: true, Handle: a.pruneVolumes},
		{Method: http.MethodDelete, Path: "/volumes/prune", Since: v2022, Rule: access.Operator, Change: true, Handle: a.removeVolume},
		{Method: http.MethodDelete, Path: "/volumes/{volume}", Since: v2022, Rule: access.Operator, Change: true, Handle: a.removeVolume},
		{Method: http.MethodGet, Path: "/device/ca", Since: v2022, Rule: access.Known, Handle: a.getCA},
		{Method: http.MethodPost, Path: "/device/ca/renew", Since: v2022, Rule: access.Operator, Change: true, Handle: a.renewCA},
		{Method: http.MethodGet, Path: "/networks", Since: v2022, Rule: access.Known, Handle: a.networks}, // edged's own, for edgectl
		{Method: http.MethodPost, Path: "/secrets/seal", Since: v2022, Rule: access.Operator, Change: true, Handle: a.sealSecret},
		// What the agent is to do is an operator's to say; it alone does it.
		{Method: http.MethodGet, Path: "/deployment", Since: v2022, Rule: access.Operator, Handle: a.getDeployment},
		{Method: http.MethodPut, Path: "/deployment", Since: v2022, Rule: access.Operator, Change: true, Handle: a.putDeployment},
		{Method: http.MethodGet, Path: "/deployment/manifest", Since: v2022, Rule: access.Operator, Handle: a.getManifest},
		{Method: http.MethodGet, Path: "/audit", Since: v2022, Rule: access.Operator, Handle: a.auditEvents}, // edged's own
		{Method: http.MethodGet, Path: "/events", Since: v2022, Rule: access.Known, Handle: a.events},
		{Method: http.MethodPut, Path: "/system/log-level", Since: v2022, Rule: access.Operator, Change: true, Handle: a.setLogLevel},
		{Method: http.MethodGet, Path: "/systeminfo", Since: v2018, Rule: access.Known, Handle: a.systemInfo},
		{Method: http.MethodGet, Path: "/systeminfo/resources", Since: v2019Nov, Rule: access.Known, Handle: a.resources},
		{Method: http.MethodGet, Path: "/systeminfo/supportbundle", Since: v2020, Rule: access.Operator, Change: true, Handle: a.supportBundle},
		{Method: http.MethodPost, Path: "/device/reprovision", Since: v2019Oct, Rule: access.Agent, Change: true, Handle: a.reprovision},
		// edged's own: the contract has no word of images.
		{Method: http.MethodGet, Path: "/images", Since: v2022, Rule: access.Known, Handle: a.listImages},
		{Method: http.MethodPost, Path: "/images/pull", Since: v2022, Rule: access.Operator, Change: true, Handle: a.pullImage},
		{Method: http.MethodPost, Path: "/images/prune", Since: v2022, Rule: access.Operator, Change: true, Handle: a.pruneImages},
	}
}

// plainRoutes are not part of the contract and have no api-version.
func (a *api) plainRoutes() []httpapi.Route {
	return []httpapi.Route{
		{Method: http.MethodGet, Path: "/metrics", Rule: access.Known, Handle: a.metrics},
		// What edged does inside, and it is slower meanwhile: marked as changes, so that they are audited.
		{Method: http.MethodGet, Path: profilesRoot + "/", Rule: access.Root, Change: true, Handle: a.profiles},
		{Method: http.MethodGet, Path: profilesRoot + "/{profile}", Rule: access.Root, Change: true, Handle: a.profile},
		{Method: http.MethodGet, Path: "/openapi/{document}", Rule: access.Known, Handle: openAPI},
	}
}

// New returns the handler of the management socket.
func New(cfg Config) http.Handler {
	a := &api{cfg}
	contract := a.mount(a.routes(), true).Handler()
	plain := a.mount(a.plainRoutes(), false).Handler()
	mounts := append(slices.Clone(cfg.Further), Mount{"/metrics", plain}, Mount{profilesRoot, plain}, Mount{"/openapi", plain})
	// The mount is chosen by path first: api-version belongs to the contract alone.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		for i := range mounts {
			if mounts[i].has(path) {
				mounts[i].ServeHTTP(w, r)
				return
			}
		}
		contract.ServeHTTP(w, r)
	})
}

func (a *api) mount(routes []httpapi.Route, versions bool) *httpapi.Mount {
	return &httpapi.Mount{
		Name: "management", Routes: routes, Versions: versions, WriteError: httpapi.MessageError,
		Decider: a.Decider, Audit: a.Audit, Requests: a.Requests, Limits: a.Limits,
	}
}
