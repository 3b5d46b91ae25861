package catalog

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	domain "github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/peer"
	"github.com/edged/edged/pkg/store/builds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// callers are every kind of caller there is.
var callers = map[string]peer.Caller{
	"edgeAgent": module("edgeAgent"), "writer": module("writer"), "other": module("other"),
	"root": {Kind: peer.Host, UID: 0}, "edged": {Kind: peer.Host, UID: 1000, Groups: []uint32{42}}, "user": {Kind: peer.Host, UID: 1000},
	"foreign": {Reason: peer.ReasonForeignContainer}, "gone": {Reason: peer.ReasonGone},
}

func module(name string) peer.Caller {
	return peer.Caller{Kind: peer.Module, Instance: &peer.Instance{Module: name, ContainerID: name + "-g1"}}
}

// rig is the whole API on a real database.
type rig struct {
	t       testing.TB
	handler http.Handler
	store   *builds.Store
	log     strings.Builder
	audit   *audit.Log
	room    func() error
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t}
	dir := t.TempDir()
	var err error
	r.store, err = builds.Open(t.Context(), dir, nil)
	require.NoError(t, err)
	r.room = r.store.Roomy
	r.audit = audit.New(&r.log)
	t.Cleanup(func() {
		r.audit.Close()
		require.NoError(t, r.store.Close())
	})
	write := []access.Permission{access.CatalogWrite}
	r.handler = document(t).Holds(t, New(Config{
		Catalog: domain.New(domain.Config{Store: r.store, ModuleMD: 4 << 20}),
		Decider: access.New([]access.Grant{{Permissions: write, Modules: []string{"edgeAgent", "writer"}, UIDs: []uint32{0}, GIDs: []uint32{42}}}),
		Audit:   r.audit, Limits: httpapi.Limits{Body: 8 << 20}, Bulk: 24 << 20,
		Room: func() error { return r.room() },
		Spool: func() (*os.File, error) {
			f, err := os.CreateTemp(dir, "spool")
			if err == nil {
				err = os.Remove(f.Name())
			}
			return f, err
		},
	}))
	return r
}

type reply struct {
	*httptest.ResponseRecorder
	t testing.TB
}

// json decodes the answer.
func (a reply) json() any {
	a.t.Helper()
	var v any
	require.NoError(a.t, json.Unmarshal(a.Body.Bytes(), &v), a.Body.String())
	return v
}

func (r *rig) as(who, method, path, contentType string, body io.Reader, header ...string) reply {
	r.t.Helper()
	req := httptest.NewRequestWithContext(peer.NewContext(r.t.Context(), callers[who]), method, "http://localhost"+path, body)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	return reply{w, r.t}
}

// do asks as root, with a JSON body unless it is empty.
func (r *rig) do(method, path, body string, header ...string) reply {
	r.t.Helper()
	if body == "" {
		return r.as("root", method, "/rest_api/v1"+path, "", nil, header...)
	}
	return r.as("root", method, "/rest_api/v1"+path, "application/json", strings.NewReader(body), header...)
}

// want asks and compares status and body.
func (r *rig) want(status int, answer, method, path, body string) {
	r.t.Helper()
	w := r.do(method, path, body)
	require.Equal(r.t, status, w.Code, "%s %s %s: %s", method, path, body, w.Body)
	if answer == "" {
		require.Empty(r.t, w.Body.String())
		return
	}
	require.JSONEq(r.t, answer, w.Body.String(), "%s %s %s", method, path, body)
}

// build is the body of a row.
func build(name, version string, more ...string) string {
	text := `{"name":"` + name + `","stream":"f28","version":"` + version + `","context":"2f345c78","koji_tag":"module-ce2adf69caf0e1b5","modulemd":"data here"`
	for _, m := range more {
		text += "," + m
	}
	return text + "}"
}
