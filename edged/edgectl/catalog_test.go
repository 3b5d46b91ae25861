package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/catalog/modulemd"
	"github.com/edged/edged/pkg/client/wire"
)

const hub = "sha256:1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d"

// builds serves an image that two modules use, and a row of somebody's, a page each.
func builds(t *testing.T, asked *[]string) http.Handler {
	md, err := modulemd.Write(&modulemd.Made{Name: "hub", Stream: "1.5", Version: 1, Context: "1a2b3c4d", Arch: "amd64", Edge: modulemd.Edge{
		Digest: hub, Arch: "amd64", Reference: "r.example/hub:1.5.0", Components: map[string][]string{"openssl": {"libssl3-0:3.0.11-1.amd64", "openssl-0:3.0.11-1.amd64"}, "bash": {"bash-0:5-1.amd64"}},
	}})
	require.NoError(t, err)
	all := []wire.Build{
		{UID: "hub:1.5:1:1a2b3c4d", Name: "hub", Active: true, KojiTag: "k", ModuleMD: md, RPMs: []string{"bash-0:5-1.amd64.rpm", "libssl3-0:3.0.11-1.amd64.rpm", "openssl-0:3.0.11-1.amd64.rpm"}, RuntimeDeps: []wire.BuildDep{{Dependency: "platform", Stream: "f29"}}},
		{UID: "other:1:1:\x1b", Name: "other", KojiTag: "k", ModuleMD: "data here", RPMs: []string{"openssl-0:3.0.11-1.amd64.rpm"}},
	}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET /images", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, wire.ImageList{Images: []wire.Image{{Name: "r.example/hub:1.5.0", Digest: hub, UsedBy: []string{"a", "b"}}}})
	})
	mux.HandleFunc("GET /rest_api/v1/modules/", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		*asked = append(*asked, q.Encode())
		if strings.Contains(r.URL.RawQuery, "nothing") {
			answer(w, wire.BuildPage{Results: []wire.Build{}})
			return
		}
		page := wire.BuildPage{Count: 2, Results: all[:1], Next: "http://localhost/rest_api/v1/modules/?page=2"}
		if q.Get("page") == "2" {
			page.Results, page.Next = all[1:], ""
		}
		answer(w, page)
	})
	mux.HandleFunc("GET /rest_api/v1/modules/{uid}/", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("uid") != all[0].UID {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"detail":"Not found."}`)
			return
		}
		answer(w, all[0])
	})
	return mux
}

func TestASearchSaysWhichModulesAreAffectedAndWhy(t *testing.T) {
	var asked []string
	d := newDevice(t, builds(t, &asked))
	got := d.run("catalog", "search", "--component", "openssl", "--active")
	require.Zero(t, got.code, got.err)
	require.Equal(t, []string{"active=true&component_name=openssl&page=1&page_size=100", "active=true&component_name=openssl&page=2&page_size=100"}, asked)
	require.Equal(t, "MODULE   BUILD                ACTIVE   IMAGE                 WHY\n"+
		"a,b      hub:1.5:1:1a2b3c4d   true     r.example/hub:1.5.0   libssl3-0:3.0.11-1.amd64 openssl-0:3.0.11-1.amd64\n"+
		`-        other:1:1:\x1b       false    -                     -`+"\n", got.out)
	require.Equal(t, "[a b] [libssl3-0:3.0.11-1.amd64]\n[] []\n", d.run("catalog", "search", "--package", "libssl3", "--format", "{{.Modules}} {{.Why}}").out)
	var list []map[string]any
	require.NoError(t, json.Unmarshal([]byte(d.run("catalog", "search", "--needs", "platform", "--format", "json").out), &list))
	require.Equal(t, []any{"a", "b"}, list[0]["modules"])
	require.Equal(t, []any{"platform:f29"}, list[0]["why"])
	require.Equal(t, "[]\n", d.run("catalog", "search", "--needs", "nothing", "--format", "json").out)
	require.Equal(t, result{0, "", "edgectl: nothing in the catalog contains or needs that\n"}, d.run("catalog", "search", "--component", "nothing"))
	require.Equal(t, 2, d.run("catalog", "search").code)
	require.Equal(t, 2, d.run("catalog", "search", "--component", "x", "--format", "xml").code)
}

func TestBuildsAreListedAndShown(t *testing.T) {
	var asked []string
	d := newDevice(t, builds(t, &asked))
	got := d.run("catalog", "ls", "--name", "hub", "--active")
	require.Equal(t, "BUILD                ACTIVE   PACKAGES   NEEDS\nhub:1.5:1:1a2b3c4d   true     3          1\nother:1:1:\\x1b       false    1          0\n", got.out, got.err)
	require.Contains(t, asked[0], "exclude_fields=modulemd")
	require.Equal(t, "hub:1.5:1:1a2b3c4d 3\n", strings.SplitAfter(d.run("catalog", "list", "--format", "{{.UID}} {{len .RPMs}}").out, "\n")[0])
	got = d.run("catalog", "show", "hub:1.5:1:1a2b3c4d")
	require.Equal(t, `UID            hub:1.5:1:1a2b3c4d
ACTIVE         true
KOJI TAG       k
IMAGE          r.example/hub:1.5.0
DIGEST         `+hub+`
ARCHITECTURE   amd64
NEEDS          platform:f29
PACKAGE        bash-0:5-1.amd64
PACKAGE        libssl3-0:3.0.11-1.amd64
PACKAGE        openssl-0:3.0.11-1.amd64
`, got.out, got.err)
	require.Contains(t, d.run("catalog", "show", "hub:1.5:1:1a2b3c4d", "--format", "modulemd").out, "document: modulemd")
	got = d.run("catalog", "show", "zz")
	require.Equal(t, 3, got.code)
	require.Contains(t, got.err, "Not found.")
	require.Equal(t, 2, d.run("catalog", "show").code)
}
