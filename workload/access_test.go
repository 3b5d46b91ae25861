package workload

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write testdata/access.golden anew")

type fakeSupervisor struct{}

func (fakeSupervisor) List(context.Context) []*module.State { return nil }

// fakeViews shows what it was asked for.
type fakeViews struct{}

func (fakeViews) List(states []*module.State, env bool) []byte {
	return fmt.Appendf(nil, `{"modules":%d,"env":%t}`, len(states), env)
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
	return Config{
		Supervisor: fakeSupervisor{}, Views: fakeViews{}, Audit: log, Limits: httpapi.Limits{Body: 1 << 20},
		Decider: access.New([]access.Grant{{Permissions: []access.Permission{access.AdminTemplates}, UIDs: []uint32{0}, GIDs: []uint32{4242}}}),
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
		path := strings.ReplaceAll(route.Path, "{name}", "target")
		fmt.Fprintf(table, "%s %s\t%s", route.Method, path, route.Rule.Name())
		for _, c := range callers {
			w := ask(cfg, c.caller, route.Method, path+"?api-version=2022-08-03")
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

func ask(cfg Config, c peer.Caller, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, target, nil)
	New(cfg).ServeHTTP(w, r.WithContext(peer.NewContext(r.Context(), c)))
	return w
}

func TestNobodySeesEnvironmentsHere(t *testing.T) {
	cfg := config(t)
	for _, c := range callers[:6] {
		w := ask(cfg, c.caller, "GET", "/modules/?api-version=2018-06-28")
		require.Equal(t, 200, w.Code)
		require.Equal(t, `{"modules":0,"env":false}`, w.Body.String(), c.name)
	}
}

func TestTheWorkloadSocketHasNothingOfTheOther(t *testing.T) {
	cfg := config(t)
	for route, want := range map[string]int{
		"POST /modules": 405, "GET /modules/target": 404, "POST /modules/target/stop": 404, "GET /systeminfo": 404, "GET /modules/target/logs": 404, "GET /metrics": 404,
	} {
		method, path, _ := strings.Cut(route, " ")
		require.Equal(t, want, ask(cfg, callers[0].caller, method, path+"?api-version=2022-08-03").Code, route)
	}
	require.Equal(t, 400, ask(cfg, callers[0].caller, "GET", "/modules").Code)
}
