package workload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/ca"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/identity"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write testdata/access.golden anew")

type fakeSupervisor struct{}

func (fakeSupervisor) List(context.Context) []*module.State { return nil }

// fakeIdentities gives the three modules of the tests the generation id g1.
type fakeIdentities struct{}

func (f fakeIdentities) Get(name string) (identity.Identity, error) { return f.Current(name, "g1") }

func (fakeIdentities) Current(name, generationID string) (identity.Identity, error) {
	if (name != "edgeAgent" && name != "target" && name != "other") || generationID != "g1" {
		return identity.Identity{}, fmt.Errorf("no such identity: %w", errdefs.ErrNotFound)
	}
	return identity.Identity{Module: name, ModuleID: name, GenerationID: generationID}, nil
}

// fakeDeriver derives what anybody could.
type fakeDeriver struct{}

func (fakeDeriver) Derive(_ context.Context, labels ...string) ([32]byte, error) {
	return sha256.Sum256(fmt.Appendf(nil, "%q", labels)), nil
}

// fakeAuthority writes down what it was asked for.
type fakeAuthority struct{ asked *[]ca.Request }

func (f fakeAuthority) Issue(_ context.Context, r ca.Request) (*ca.Issued, error) {
	*f.asked = append(*f.asked, r)
	return &ca.Issued{Certificate: []byte("leaf\n"), Chain: []byte("ca\n"), PrivateKey: []byte("key"), NotAfter: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)}, nil
}

func (fakeAuthority) TrustBundle() []byte { return []byte("roots") }

// fakeViews has no list for those who would see environments.
type fakeViews struct{}

func (fakeViews) List(_ []*module.State, env bool) []byte {
	if env {
		return []byte("shown")
	}
	return []byte(`{"modules":[]}`)
}

// inside is a caller of a module, on the shared socket or on its own.
func inside(name, listener string) peer.Caller {
	return peer.Caller{Kind: peer.Module, Listener: listener, Instance: &peer.Instance{Module: name, Generation: 1, ContainerID: name + "-g1"}}
}

var callers = []struct {
	name   string
	caller peer.Caller
}{
	{"edgeAgent", inside("edgeAgent", "module")},
	{"target", inside("target", "module")},
	{"other", inside("other", "workload")},
	{"root", peer.Caller{Kind: peer.Host}},
	{"edged", peer.Caller{Kind: peer.Host, UID: 1000, GID: 1000, Groups: []uint32{4242}}},
	{"user", peer.Caller{Kind: peer.Host, UID: 1001, GID: 1001}},
	{"foreign", peer.Caller{Reason: peer.ReasonForeignContainer}},
	{"gone", peer.Caller{Reason: peer.ReasonGone}},
}

func config(t *testing.T) Config {
	log := audit.New(io.Discard)
	t.Cleanup(log.Close)
	authority := fakeAuthority{new([]ca.Request)}
	return Config{
		Supervisor: fakeSupervisor{}, Identities: fakeIdentities{}, Keys: identity.NewKeys(fakeDeriver{}), Views: fakeViews{}, Audit: log,
		Trust: authority, Certificates: &identity.Certificates{
			Authority: authority, Device: "dev", Hub: "hub.example", Gateway: "gw",
			Spec: func(_ context.Context, name string) (*module.Spec, error) {
				return &module.Spec{Name: name, CreateOptions: []byte(`{"Hostname":"host","NetworkingConfig":{"EndpointsConfig":{"edged":{"Aliases":["alias"]}}}}`)}, nil
			},
		}, Limits: httpapi.Limits{Body: 1 << 20},
		Decider: access.New([]access.Grant{{ServerNames: []string{"granted.example", "10.0.0.1"}, Modules: []string{"target"}}, {Permissions: []access.Permission{access.AdminTemplates}, UIDs: []uint32{0}, GIDs: []uint32{4242}}}),
	}
}

// TestEveryRouteForEveryCaller is who may do what on the workload sockets, in full. A
// change of a rule is a change of the file, to be read in review.
func TestEveryRouteForEveryCaller(t *testing.T) {
	cfg := config(t)
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "workload\trule")
	for _, c := range callers {
		fmt.Fprintf(table, "\t%s", c.name)
	}
	fmt.Fprintln(table)
	for _, route := range (&api{cfg}).routes() {
		path := strings.NewReplacer("{name}", "target", "{genid}", "g1").Replace(route.Path)
		fmt.Fprintf(table, "%s %s\t%s", route.Method, path, route.Rule.Name())
		for _, c := range callers {
			w := send(t, cfg, c.caller, route.Method, path+"?api-version=2022-08-03", goodBody)
			fmt.Fprintf(table, "\t%d", w.Code)
		}
		fmt.Fprintln(table)
	}
	require.NoError(t, table.Flush())
	file := filepath.Join("testdata", "access.golden")
	if *update {
		require.NoError(t, os.WriteFile(file, text.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), text.String(), "go test ./workload -update writes it anew")
}

// goodBody is one that every route takes, but decrypt: who made its ciphertext is not in the table.
const goodBody = `{"data":"ZGF0YQ==","plaintext":"ZGF0YQ==","ciphertext":"ZGF0YQ==","initializationVector":"aXY=","commonName":"target"}`

func ask(t *testing.T, cfg Config, c peer.Caller, method, target string) *httptest.ResponseRecorder {
	return send(t, cfg, c, method, target, "")
}

func send(t *testing.T, cfg Config, c peer.Caller, method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	document(t).Holds(t, New(cfg)).ServeHTTP(w, r.WithContext(peer.NewContext(r.Context(), c)))
	return w
}

func TestNobodySeesEnvironmentsHere(t *testing.T) {
	cfg := config(t)
	for _, c := range callers[:6] {
		w := ask(t, cfg, c.caller, "GET", "/modules/?api-version=2018-06-28")
		require.Equal(t, 200, w.Code)
		require.Equal(t, `{"modules":[]}`, w.Body.String(), c.name)
	}
}

func TestTheWorkloadSocketHasNothingOfTheOther(t *testing.T) {
	cfg := config(t)
	for route, want := range map[string]int{
		"POST /modules": 405, "GET /modules/target/genid/g1/sign": 405, "POST /identities": 404, "GET /modules/target": 404, "POST /modules/target/stop": 404, "GET /systeminfo": 404, "GET /modules/target/logs": 404, "GET /metrics": 404,
	} {
		method, path, _ := strings.Cut(route, " ")
		require.Equal(t, want, ask(t, cfg, callers[0].caller, method, path+"?api-version=2022-08-03").Code, route)
	}
	require.Equal(t, 400, ask(t, cfg, callers[0].caller, "GET", "/modules").Code)
}
