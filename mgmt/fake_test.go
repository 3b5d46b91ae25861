package mgmt

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/ca"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/identity"
	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/modulelog"
	"github.com/edged/edged/pkg/peer"
	"github.com/edged/edged/pkg/support"
	"github.com/edged/edged/pkg/volume"
)

const v = "?api-version=2022-08-03"

// fakeSupervisor answers from a map and writes down what it was asked.
type fakeSupervisor struct {
	states map[string]*module.State
	asked  []string
	spec   module.Spec
	fail   error

	answered <-chan struct{} // of the last update
	// changes, when set, gives the channels of Changed.
	changes func() <-chan struct{}
}

func (f *fakeSupervisor) Changed() <-chan struct{} {
	if f.changes == nil {
		return nil
	}
	return f.changes()
}

func (f *fakeSupervisor) ask(format string, args ...any) error {
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
	return f.fail
}

func (f *fakeSupervisor) find(name string) (*module.State, error) {
	if st := f.states[name]; st != nil {
		return st, nil
	}
	return nil, fmt.Errorf("module %q not found: %w", name, errdefs.ErrNotFound)
}

// All has one of edged's own besides.
func (f *fakeSupervisor) All(ctx context.Context) []*module.State {
	return append(f.List(ctx), &module.State{Spec: module.Spec{Name: module.OSGiHost, Type: "docker", CreateOptions: json.RawMessage("{}")}, Status: module.Status{Runtime: module.Running}})
}

func (f *fakeSupervisor) List(context.Context) []*module.State {
	var all []*module.State
	for _, name := range []string{"edgeAgent", "target"} {
		if st := f.states[name]; st != nil {
			all = append(all, st)
		}
	}
	return all
}

func (f *fakeSupervisor) Get(_ context.Context, name string) (*module.State, error) {
	return f.find(name)
}

func (f *fakeSupervisor) Create(_ context.Context, spec module.Spec) (*module.State, error) {
	f.spec = spec
	if f.states[spec.Name] != nil {
		return nil, fmt.Errorf("module %q already exists: %w", spec.Name, errdefs.ErrAlreadyExists)
	}
	return stateOf(spec), f.ask("create %s", spec.Name)
}

func (f *fakeSupervisor) Update(_ context.Context, spec module.Spec, start bool, answered <-chan struct{}) (*module.State, error) {
	f.spec, f.answered = spec, answered
	if _, err := f.find(spec.Name); err != nil {
		return nil, err
	}
	return stateOf(spec), f.ask("update %s start=%t self=%t", spec.Name, start, answered != nil)
}

func (f *fakeSupervisor) Prepare(_ context.Context, spec module.Spec) error {
	f.spec = spec
	return f.ask("prepare %s", spec.Name)
}

func (f *fakeSupervisor) Check(spec module.Spec) error {
	f.spec = spec
	return f.ask("check %s", spec.Name)
}

func (f *fakeSupervisor) do(verb, name string) error {
	if _, err := f.find(name); err != nil {
		return err
	}
	return f.ask("%s %s", verb, name)
}

func (f *fakeSupervisor) Delete(_ context.Context, name string) error { return f.do("delete", name) }

func (f *fakeSupervisor) Start(_ context.Context, name string) error { return f.do("start", name) }

func (f *fakeSupervisor) Restart(_ context.Context, name string) error { return f.do("restart", name) }

func (f *fakeSupervisor) Stop(_ context.Context, name string, byHost bool) error {
	return f.do(fmt.Sprintf("stop byHost=%t", byHost), name)
}

// fakeLogs writes a log in the pieces that it is given.
type fakeLogs struct {
	pieces []string
	opt    modulelog.Options
	silent time.Duration // after the last piece
	fail   error
}

func (f *fakeLogs) Copy(_ context.Context, w io.Writer, _ string, opt modulelog.Options, _ <-chan struct{}) error {
	f.opt = opt
	for _, p := range f.pieces {
		if _, err := io.WriteString(w, p); err != nil {
			return err
		}
	}
	time.Sleep(f.silent)
	return f.fail
}

// fakeImages has one image that nothing uses and one that target does.
type fakeImages struct {
	sup      *fakeSupervisor
	progress []image.Progress
	auth     *module.Auth
	fail     error
}

func (f *fakeImages) List(context.Context) ([]image.Entry, error) {
	used := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return []image.Entry{
		{Image: image.Image{Name: "r.example/a:1", Digest: "sha256:aa", Size: 10}, Used: used},
		{Image: image.Image{Name: "r.example/b:1", Digest: "sha256:bb", Size: 20}, Used: used, Modules: []string{"target"}, Kept: image.KeptModule},
	}, f.fail
}

func (f *fakeImages) Pull(_ context.Context, ref string, auth *module.Auth, report func(image.Progress)) (module.Image, error) {
	f.auth = auth
	_ = f.sup.ask("pull %s", ref)
	for _, p := range f.progress {
		report(p)
	}
	return module.Image{Ref: "docker.io/library/" + ref, Digest: "sha256:cc"}, f.fail
}

func (f *fakeImages) Prune(_ context.Context, all bool) ([]image.Removed, error) {
	_ = f.sup.ask("prune all=%t", all)
	return []image.Removed{{Name: "r.example/a:1", Digest: "sha256:aa", Bytes: 7}}, f.fail
}

// memory keeps identities for a registry.
type memory map[string]identity.Identity

func (m memory) Identities(context.Context) ([]identity.Identity, error) {
	return slices.Collect(maps.Values(m)), nil
}

func (m memory) SaveIdentity(_ context.Context, id identity.Identity) error {
	m[id.Module] = id
	return nil
}

func (m memory) DeleteIdentity(_ context.Context, name string) error {
	delete(m, name)
	return nil
}

// fakeVolumes are two, of which one is in use.
type fakeVolumes struct{ f *fakeSupervisor }

func (fakeVolumes) List(context.Context) ([]volume.Volume, error) {
	return []volume.Volume{
		{Name: "data", Labels: map[string]string{"a": "b"}, Created: time.Unix(0, 0), Path: "/volumes/data/_data", Users: []string{"target"}},
		{Name: "prune", Path: "/volumes/prune/_data", Module: "gone"},
	}, nil
}

func (v fakeVolumes) Remove(_ context.Context, name string) error {
	switch name {
	case "data":
		return fmt.Errorf("volume %q is in use by module target: %w", name, errdefs.ErrFailedPrecondition)
	case "prune", "target", "edgeAgent", "new":
		return v.f.ask("remove volume %s", name)
	}
	return fmt.Errorf("volume %q not found: %w", name, errdefs.ErrNotFound)
}

func (v fakeVolumes) Prune(context.Context) ([]string, error) {
	return []string{"prune"}, v.f.ask("prune volumes")
}

// fakeCA writes down renewals with what the supervisor was asked.
type fakeCA struct{ sup *fakeSupervisor }

func (f fakeCA) Info() ca.Info {
	c := &x509.Certificate{
		Raw: []byte("raw"), Subject: pkix.Name{CommonName: "edged CA x"}, Issuer: pkix.Name{CommonName: "edged CA x"}, SerialNumber: big.NewInt(0x4711),
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(3600, 0),
	}
	return ca.Info{Certificate: c, PEM: []byte("PEM"), RenewAt: time.Unix(2400, 0), Trust: []*x509.Certificate{c}}
}

func (f fakeCA) Renew(context.Context) error { return f.sup.ask("renew") }

// fakeSealer writes down for whom it sealed.
type fakeSealer struct{ sup *fakeSupervisor }

func (f fakeSealer) Seal(plain []byte, module string) (string, error) {
	return "sealed-" + string(plain), f.sup.ask("seal %q", module)
}

func stateOf(spec module.Spec) *module.State {
	run := make(chan struct{})
	close(run)
	return &module.State{Spec: spec, Generation: 1, Status: module.Status{Runtime: module.Stopped, Description: "created"}, Run: run}
}

func specOf(name string) module.Spec {
	return module.Spec{
		Name: name, Type: "docker", Image: "image", CreateOptions: json.RawMessage(`{"Env":["OPTION=secret-1"],"Tty":false}`), PullPolicy: module.PullNever,
		Env: []module.EnvVar{{Key: "B", Value: "secret-2"}, {Key: "A", Value: ""}}, Auth: &module.Auth{Username: "user", Password: "hunter2", Email: "e", ServerAddress: "r.example"},
	}
}

// The callers of the tests.
const permitted = 4242

func caller(name string) peer.Caller {
	inside := func(name string) peer.Caller {
		return peer.Caller{Kind: peer.Module, Listener: "management", Instance: &peer.Instance{Module: name, Generation: 1, ContainerID: name + "-g1"}}
	}
	switch name {
	case "edgeAgent", "target", "other":
		return inside(name)
	case "root":
		return peer.Caller{Kind: peer.Host}
	case "edged":
		return peer.Caller{Kind: peer.Host, UID: 1000, GID: 1000, Groups: []uint32{27, permitted}}
	case "user":
		return peer.Caller{Kind: peer.Host, UID: 1001, GID: 1001}
	case "foreign":
		return peer.Caller{Reason: peer.ReasonForeignContainer}
	case "gone":
		return peer.Caller{Reason: peer.ReasonGone}
	}
	panic(name)
}

// fixture is the management API with everything behind it made up.
type fixture struct {
	t    *testing.T
	sup  *fakeSupervisor
	logs *fakeLogs
	imgs *fakeImages
	ids  *identity.Registry

	support       support.Options
	reprovisioned int
	cfg           Config
}

func newFixture(t *testing.T) *fixture {
	log := audit.New(io.Discard)
	t.Cleanup(log.Close)
	f := &fixture{t: t, logs: &fakeLogs{}, sup: &fakeSupervisor{states: map[string]*module.State{
		"edgeAgent": stateOf(specOf("edgeAgent")), "target": stateOf(specOf("target")),
	}}}
	f.imgs = &fakeImages{sup: f.sup}
	var err error
	f.ids, err = identity.Open(t.Context(), memory{
		"edgeAgent": {Module: "edgeAgent", ModuleID: "$edgeAgent", ManagedBy: "iotedge", GenerationID: "g0"},
		"target":    {Module: "target", ModuleID: "$target", ManagedBy: "iotedge", GenerationID: "g1"},
	})
	require.NoError(t, err)
	f.cfg = Config{
		Supervisor: f.sup, Identities: f.ids, Images: f.imgs, Logs: f.logs, Volumes: fakeVolumes{f.sup}, Views: NewViews(), Audit: log,
		Decider: access.New([]access.Grant{{Permissions: []access.Permission{access.AdminTemplates}, Modules: []string{"edgeAgent"}, UIDs: []uint32{0}, GIDs: []uint32{permitted}}}),
		Limits:  httpapi.Limits{Body: 1 << 20, BodyRate: 1024, Headers: 64 << 10, HeaderTimeout: 3 * time.Second},
		SystemInfo: func(context.Context) wire.SystemInfo {
			return wire.SystemInfo{OSType: "Linux", Architecture: "x86_64", Virtualized: "no"}
		},
		Resources: func() (wire.SystemResources, error) { return wire.SystemResources{DockerStats: "[]"}, nil },
		SupportBundle: func(_ context.Context, w io.Writer, opt support.Options) error {
			f.support = opt
			_, err := io.WriteString(w, "PK")
			return err
		},
		SetLogLevel: func(level string) (string, error) { return "info", f.sup.ask("log-level %s", level) },
		Deployments: folders(t),
		CA:          fakeCA{f.sup},
		Secrets:     fakeSealer{f.sup},
		Reprovision: func() error { f.reprovisioned++; return nil },
		Metrics:     func(w io.Writer) { _, _ = io.WriteString(w, "edged_modules 2\n") },
		AuditTable:  &fakeAudit{},
		Networks:    func() wire.NetworkList { return wire.NetworkList{Networks: []wire.Network{}} },
	}
	f.cfg.Decider.SetOperators(permitted)
	return f
}

// folders are the agent's, of a home of the test.
func folders(t *testing.T) *deployment.Keeper {
	k := &deployment.Keeper{Folders: deployment.FoldersOf(t.TempDir())}
	require.NoError(t, os.MkdirAll(k.Desired, 0o700))
	require.NoError(t, os.MkdirAll(k.Status, 0o700))
	return k
}

// ask sends a request by one of the callers.
func (f *fixture) ask(who, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.serve(who).ServeHTTP(w, r)
	return w
}

func (f *fixture) serve(who string) http.Handler {
	h := document(f.t).Holds(f.t, New(f.cfg))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(peer.NewContext(r.Context(), caller(who))))
	})
}

func message(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var e wire.Error
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e), w.Body.String())
	return e.Message
}

func body(name, more string) string {
	return fmt.Sprintf(`{"moduleId":%[1]q,"name":%[1]q,"type":"docker","config":{"settings":{"image":"i"}}%[2]s}`, name, more)
}
