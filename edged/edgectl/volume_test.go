package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

// volumes serves two, of which one is in use, and remembers what was asked.
func volumes(t *testing.T, asked *[]string) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET /volumes", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, wire.VolumeList{Volumes: []wire.Volume{
			{Name: "data", Created: before(time.Hour), Path: "/v/data/_data", Modules: []string{"a", "b"}},
			{Name: "free\x1b", Anonymous: true, Path: "/v/free/_data", Modules: []string{}},
		}})
	})
	mux.HandleFunc("DELETE /volumes/{name}", func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, "rm "+r.PathValue("name"))
		if r.PathValue("name") == "data" {
			w.WriteHeader(http.StatusConflict)
			answer(w, wire.Error{Message: `volume "data" is in use by modules a, b`})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /volumes/prune", func(w http.ResponseWriter, _ *http.Request) {
		*asked = append(*asked, "prune")
		answer(w, wire.VolumesPruned{Removed: []string{"free"}})
	})
	return mux
}

func TestVolumesAreListed(t *testing.T) {
	d := newDevice(t, volumes(t, nil))
	got := d.run("volume", "ls")
	require.Zero(t, got.code)
	require.Equal(t, "NAME       KIND        MODULES   CREATED\n"+
		"data       named       a, b      about an hour ago\n"+
		`free\x1b   anonymous   -         -`+"\n", strings.ReplaceAll(got.out, "\t", " "))
	require.Equal(t, result{0, "data [a b]\nfree\x1b []\n", ""}, d.run("volume", "list", "--format", "{{.Name}} {{.Modules}}"))
	require.Equal(t, "/v/free/_data\n", d.run("volumes", "ls", "--unused", "--format", "{{.Path}}").out)
	var list []wire.Volume
	require.NoError(t, json.Unmarshal([]byte(d.run("volume", "ls", "--format", "json").out), &list))
	require.Len(t, list, 2)
}

func TestVolumesAreRemovedByNameAndOnlyByForceAllAtOnce(t *testing.T) {
	var asked []string
	d := newDevice(t, volumes(t, &asked))
	require.Equal(t, result{exitFailed, "free\n", "edgectl: data: volume \"data\" is in use by modules a, b\n"}, d.run("volume", "rm", "data", "free"))
	got := d.run("volume", "prune")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.err, `would remove free\x1b`)
	require.Contains(t, got.err, "--force")
	require.False(t, slices.Contains(asked, "prune"))
	require.Equal(t, result{0, "free\n", ""}, d.run("volume", "prune", "--force"))
	for _, args := range [][]string{{"volume", "rm"}, {"volume", "rm", ""}, {"volume", "nonsense"}, {"volume", "ls", "x"}, {"volume", "prune", "x"}} {
		require.Equal(t, exitUsage, d.run(args...).code, "%q", args)
	}
	require.Equal(t, []string{"rm data", "rm free", "prune"}, asked)
}
