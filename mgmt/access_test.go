package mgmt

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/httpapi"
)

var update = flag.Bool("update", false, "write testdata/access.golden anew")

// TestEveryRouteForEveryCaller is who may do what, in full. A change of a rule is a
// change of the file, to be read in review.
func TestEveryRouteForEveryCaller(t *testing.T) {
	callers := []string{"edgeAgent", "target", "other", "root", "edged", "user", "foreign", "gone"}
	var text bytes.Buffer
	text.WriteString("# edgeAgent, target, other: modules. root: of the host. edged: host user in group edged. user: host user without permissions.\n" +
		"# foreign: another runtime's container. gone: its process has exited.\n")
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "management\trule\t%s\n", strings.Join(callers, "\t"))
	a := &api{newFixture(t).cfg}
	for _, route := range append(a.routes(), a.plainRoutes()...) {
		for _, name := range []string{"target", "edgeAgent"} {
			path := strings.NewReplacer("{name}", name, "{volume}", name, "{profile}", "goroutine", "{document}", "management.yaml").Replace(route.Path)
			fmt.Fprintf(table, "%s %s\t%s", route.Method, path, route.Rule.Name())
			for _, who := range callers {
				f := newFixture(t)
				query := v
				if route.Since == "" {
					query = ""
				}
				spec := name
				if path == "/modules" {
					spec = "new"
				}
				text := body(spec, "")
				if strings.HasPrefix(path, "/images") {
					text = `{"image":"i:1"}`
				}
				switch path {
				case "/deployment":
					text = deploy("manifest", "")
				case "/system/log-level":
					text = `{"level":"debug"}`
				case "/secrets/seal":
					text = `{"value":"aHVudGVyMg=="}`
				}
				if path == "/events" { // it has no end of its own
					stopping, stop := context.WithCancel(t.Context())
					stop()
					f.cfg.Stopping = stopping
				}
				w := f.ask(who, route.Method, path+query, text)
				fmt.Fprintf(table, "\t%d", w.Code)
				if w.Code == 403 {
					require.JSONEq(t, `{"message":"forbidden"}`, w.Body.String())
					require.Empty(t, f.sup.asked, "%s %s by %s", route.Method, path, who)
				}
			}
			fmt.Fprintln(table)
			if !strings.Contains(path, name) {
				break // it names none
			}
		}
	}
	require.NoError(t, table.Flush())
	golden(t, "access.golden", text.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "go test ./mgmt -update writes it anew")
}

func TestARouteWithoutARuleDoesNotStart(t *testing.T) {
	a := &api{newFixture(t).cfg}
	for i := range a.routes() {
		routes := a.routes()
		routes[i].Rule = access.Rule{}
		require.Panics(t, func() { a.mount(routes, true).Handler() }, routes[i].Path)
	}
	require.Panics(t, func() {
		a.mount([]httpapi.Route{{Method: "GET", Path: "/metrics", Handle: a.metrics}}, false).Handler()
	})
}

func TestWritesAndIdentitiesBelongToTheAgentAlone(t *testing.T) {
	a := &api{newFixture(t).cfg}
	for _, route := range a.routes() {
		if route.Path == "/system/log-level" || strings.HasPrefix(route.Path, "/deployment") {
			require.Equal(t, access.Operator.Name(), route.Rule.Name(), route.Path)
			require.Equal(t, route.Method == "PUT", route.Change, "%s %s is audited", route.Method, route.Path)
			continue
		}
		if strings.HasPrefix(route.Path, "/volumes") {
			require.Equal(t, route.Method != "GET", route.Change, "%s %s is audited", route.Method, route.Path)
			require.Equal(t, route.Change, route.Rule.Name() == access.Operator.Name(), "%s %s", route.Method, route.Path)
			continue
		}
		if strings.HasSuffix(route.Path, "/check") {
			require.Equal(t, access.Operator.Name(), route.Rule.Name(), route.Path)
			require.False(t, route.Change, "%s changes nothing", route.Path)
			continue
		}
		write := route.Method == "PUT" || route.Method == "DELETE" || strings.HasSuffix(route.Path, "prepareupdate") || route.Method == "POST" && route.Path == "/modules" ||
			strings.HasPrefix(route.Path, "/identities") || route.Path == "/device/reprovision"
		require.Equal(t, write, route.Rule.Name() == access.Agent.Name(), "%s %s", route.Method, route.Path)
		require.Equal(t, route.Method != "GET" || route.Path == "/systeminfo/supportbundle", route.Change, "%s %s is audited", route.Method, route.Path)
	}
}

func TestTheAgentIsNotStoppedUnderAnotherNameOfItsOwn(t *testing.T) {
	for _, path := range []string{"/modules/$edgeAgent/stop", "/modules/%24edgeAgent/restart", "/modules/edgeAgen%74/stop", "/modules/edgeAgent/STOP"} {
		f := newFixture(t)
		require.Equal(t, 403, f.ask("other", "POST", path+v, "").Code, path)
		require.Empty(t, f.sup.asked)
	}
}

// TestOldVersionsKnowNoNewRoutes and no others.
func TestOldVersionsKnowNoNewRoutes(t *testing.T) {
	f := newFixture(t)
	for version, want := range map[string]int{"2018-06-28": 404, "2019-01-30": 204, "2022-08-03": 204} {
		require.Equal(t, want, f.ask("edgeAgent", "POST", "/modules/target/prepareupdate?api-version="+version, body("target", "")).Code, version)
	}
}
