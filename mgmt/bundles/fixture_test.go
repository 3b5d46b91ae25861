package bundles

import (
	"bytes"
	"context"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/bundle"
	"github.com/edged/edged/pkg/content"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/pack/packtest"
	"github.com/edged/edged/pkg/peer"
)

func TestMain(m *testing.M) {
	logrus.SetLevel(logrus.ErrorLevel) // of the content store, which says what file system there is
	goleak.VerifyTestMain(m)
}

// memory is a database that forgets, but for one note, and a host that is there or not.
type memory struct {
	mu     sync.Mutex
	note   string
	absent bool
}

func (*memory) Bundles(context.Context) ([]bundle.Record, error) { return nil, nil }

func (*memory) SaveBundles(context.Context, []bundle.Record, []bundle.Key) error { return nil }

func (m *memory) Note(context.Context, string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.note, nil
}

func (m *memory) SetNote(_ context.Context, _, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note = value
	return nil
}

func (m *memory) Installed(context.Context) (bool, error) { return !m.absent, nil }

func (*memory) Want() {}

func (*memory) Rest(context.Context) error { return nil }

func (*memory) Restart(context.Context) error { return nil }

func (*memory) Why(context.Context) string { return "it fell over" }

// simple is a framework in which everything works, but what no says.
type simple struct {
	mu  sync.Mutex
	all map[int64]bundle.Actual
	no  error
}

func (s *simple) set(id int64, change func(a *bundle.Actual)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.no != nil {
		return s.no
	}
	a := s.all[id]
	change(&a)
	s.all[id] = a
	return nil
}

func (s *simple) Picture() *bundle.Picture {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &bundle.Picture{ByLocation: map[string]bundle.Actual{}}
	for _, id := range slices.Sorted(maps.Keys(s.all)) {
		p.All = append(p.All, s.all[id])
		p.ByLocation[s.all[id].Location] = s.all[id]
	}
	return p
}

func (*simple) Ping(context.Context) error { return nil }

func (*simple) Run() string { return "" }

func (*simple) JavaLevel() int { return 17 }

func (s *simple) Install(_ context.Context, location string, r io.Reader, _ int64) (bundle.Actual, error) {
	d, _ := io.ReadAll(r)
	id := int64(len(s.Picture().All))
	a := bundle.Actual{ID: id, Location: location, SymbolicName: strings.TrimPrefix(location, "dx:"), State: bundle.Installed, StartLevel: 80, Digest: "sha256:" + packtest.SHA256(d)}
	return a, s.set(id, func(was *bundle.Actual) { *was = a })
}

func (s *simple) Update(_ context.Context, id int64, r io.Reader, _ int64) (bundle.Actual, error) {
	d, _ := io.ReadAll(r)
	err := s.set(id, func(a *bundle.Actual) { a.Digest = "sha256:" + packtest.SHA256(d) })
	return bundle.Actual{}, err
}

func (s *simple) Uninstall(_ context.Context, id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
	return s.no
}

func (s *simple) Start(_ context.Context, id int64) error {
	return s.set(id, func(a *bundle.Actual) { a.State, a.Persistent = bundle.Active, true })
}

func (s *simple) Stop(_ context.Context, id int64, _ bool) error {
	return s.set(id, func(a *bundle.Actual) { a.State, a.Persistent = bundle.Resolved, false })
}

func (*simple) SetStartLevel(context.Context, int64, int) error { return nil }

func (*simple) SetLevel(context.Context, int) error { return nil }

func (s *simple) Refresh(context.Context, ...int64) error { return s.no }

func (*simple) Closure(_ context.Context, ids ...int64) ([]int64, error) { return ids, nil }

func (*simple) Users(context.Context, int64) ([]int64, error) { return nil, nil }

func (*simple) Done() <-chan struct{} { return nil }

const permitted = 4242

// fixture is the API on real bundles, with what is behind them made up.
type fixture struct {
	t *testing.T
	*bundle.Bundles
	memory    *memory
	framework *simple
	cfg       Config
	handler   http.Handler
}

const testMaxSize = 1 << 20

func newFixture(t *testing.T) *fixture {
	t.Helper()
	log := audit.New(io.Discard)
	t.Cleanup(log.Close)
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	f := &fixture{t: t, memory: &memory{}, framework: &simple{all: map[int64]bundle.Actual{
		0: {Location: "System Bundle", SymbolicName: "framework", Version: "1", State: bundle.Active},
	}}}
	blobs, err := content.Open(t.TempDir())
	require.NoError(t, err)
	f.Bundles, err = bundle.Open(t.Context(), bundle.Config{Content: blobs, Store: f.memory, Host: f.memory, MaxSize: testMaxSize, Log: silent})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	f.Connected(f.framework)
	admin := []access.Permission{access.AdminTemplates}
	f.cfg = Config{
		Bundles: f.Bundles, Node: "node1", Groups: []string{"plant"}, MaxSize: testMaxSize, Audit: log,
		Limits: httpapi.Limits{Body: 1 << 20, BodyRate: 1024, Headers: 64 << 10, HeaderTimeout: 3 * time.Second},
		Decider: access.New([]access.Grant{
			{Permissions: admin, Modules: []string{"edgeAgent"}, UIDs: []uint32{0}, GIDs: []uint32{permitted}},
			{Permissions: []access.Permission{access.ViewClusterModules, access.UpdateCluster, access.CatalogWrite}, UIDs: []uint32{1004}},
		}),
	}
	f.handler = document(t).Holds(t, New(f.cfg))
	return f
}

var callers = []string{"edgeAgent", "other", "root", "edged", "user", "others-permissions", "foreign", "gone"}

func caller(name string) peer.Caller {
	switch name {
	case "edgeAgent", "other":
		return peer.Caller{Kind: peer.Module, Listener: "management", Instance: &peer.Instance{Module: name, Generation: 1, ContainerID: name + "-g1"}}
	case "root":
		return peer.Caller{Kind: peer.Host}
	case "edged":
		return peer.Caller{Kind: peer.Host, UID: 1000, GID: 1000, Groups: []uint32{27, permitted}}
	case "user":
		return peer.Caller{Kind: peer.Host, UID: 1001, GID: 1001}
	case "others-permissions":
		return peer.Caller{Kind: peer.Host, UID: 1004, GID: 1004}
	case "foreign":
		return peer.Caller{Reason: peer.ReasonForeignContainer}
	case "gone":
		return peer.Caller{Reason: peer.ReasonGone}
	}
	panic(name)
}

func (f *fixture) ask(who, method, target string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequest(method, target, body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r.WithContext(peer.NewContext(r.Context(), caller(who))))
	require.Equal(f.t, "no-cache", w.Header().Get("Cache-Control"), "%s %s", method, target)
	require.Equal(f.t, "no-cache", w.Header().Get("Pragma"))
	return w
}

// get is the body of an answer of 200.
func (f *fixture) get(path string) string {
	f.t.Helper()
	w := f.ask("root", "GET", Root+path, nil)
	require.Equal(f.t, 200, w.Code, "%s: %s", path, w.Body)
	return w.Body.String()
}

// multi is a body of parts, two arguments each; a name that begins with "@" is a file.
func multi(t *testing.T, parts ...string) (io.Reader, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		if name, ok := strings.CutPrefix(parts[i], "@"); ok {
			part, err := w.CreateFormFile(name, "x.jar")
			require.NoError(t, err)
			_, err = io.WriteString(part, parts[i+1])
			require.NoError(t, err)
			continue
		}
		require.NoError(t, w.WriteField(parts[i], parts[i+1]))
	}
	require.NoError(t, w.Close())
	return &b, w.FormDataContentType()
}

func (f *fixture) push(who string, parts ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	body, kind := multi(f.t, parts...)
	return f.ask(who, http.MethodPost, Root, body, "Content-Type", kind)
}

func jar(name, version string, headers ...string) string {
	all := map[string]string{"Bundle-SymbolicName": name, "Bundle-Version": version}
	for i := 0; i < len(headers); i += 2 {
		all[headers[i]] = headers[i+1]
	}
	return string(packtest.Bundle{Headers: all}.Bytes())
}

// article is a module with a group, and news a bundle without one.
func article() string {
	return jar("article", "2.0.3.SNAPSHOT", "Jahia-GroupId", "org.jahia.modules", "Jahia-Module-Type", "module")
}

func news() string { return jar("news", "2.0.2") }
