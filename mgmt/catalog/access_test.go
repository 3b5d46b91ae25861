package catalog

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/httpapi"
)

var update = flag.Bool("update", false, "write testdata/access.golden anew")

// TestEveryRouteForEveryCaller is who may do what, in full, as mgmt has it for its own.
func TestEveryRouteForEveryCaller(t *testing.T) {
	names := []string{"edgeAgent", "writer", "other", "root", "edged", "user", "foreign", "gone"}
	var text bytes.Buffer
	text.WriteString("# edgeAgent, writer, other: modules, writer with the permission catalog_write. root: of the host. edged: host user in group edged.\n" +
		"# user: host user without permissions. foreign: another runtime's container. gone: its process has exited.\n")
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "catalog\trule\t%s\n", strings.Join(names, "\t"))
	a, r := &api{}, newRig(t)
	for _, route := range a.routes() {
		path := strings.ReplaceAll(route.Path, "{uid}", uid1)
		fmt.Fprintf(table, "%s %s\t%s", route.Method, path, route.Rule.Name())
		body := map[string]string{"POST": build("new", "1"), "PUT": build("m", "1"), "PATCH": `{"active":true}`}[route.Method]
		if strings.HasSuffix(path, "/modules/") {
			if many := map[string]string{"PUT": `{"` + uid1 + `":` + build("m", "1") + `}`, "PATCH": `{"` + uid1 + `":{"active":true}}`, "DELETE": `["` + uid1 + `"]`}[route.Method]; many != "" {
				body = many
			}
		}
		for _, who := range names {
			for _, row := range r.do("GET", "/modules/?page_size=-1", "").json().([]any) {
				require.Equal(t, 204, r.do("DELETE", "/modules/"+row.(map[string]any)["uid"].(string)+"/", "").Code)
			}
			require.Equal(t, 201, r.do("POST", "/modules/", build("m", "1")).Code)
			w := r.as(who, route.Method, path, "application/json", strings.NewReader(body))
			fmt.Fprintf(table, "\t%d", w.Code)
			if w.Code == 403 && route.Method != "HEAD" {
				require.JSONEq(t, `{"detail":"You do not have permission to perform this action."}`, w.Body.String())
			}
			if w.Code == 403 {
				r.want(200, `{"count":1,"next":null,"previous":null,"results":[`+row("m", "1")+`]}`, "GET", "/modules/", "")
			}
		}
		fmt.Fprintln(table)
	}
	require.NoError(t, table.Flush())
	const file = "testdata/access.golden"
	if *update {
		require.NoError(t, os.WriteFile(file, text.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), text.String(), "go test ./mgmt/catalog -update writes it anew")
}

func TestWhatChangesARowIsPermittedAndAudited(t *testing.T) {
	a := &api{}
	for _, route := range a.routes() {
		reads := route.Method == "GET" || route.Method == "HEAD" || route.Method == "OPTIONS"
		require.Equal(t, reads, route.Rule.Name() == access.Known.Name(), "%s %s", route.Method, route.Path)
		require.Equal(t, !reads, route.Change, "%s %s", route.Method, route.Path)
	}
	routes := a.routes()
	routes[0].Rule = access.Rule{}
	require.Panics(t, func() { (&httpapi.Mount{Routes: routes}).Handler() })
}
