package main

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAskerAsksForAModuleAndShowsTheAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	var request, body string
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		request, body = r.Method+" "+r.RequestURI, string(b)
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"message":"forbidden"}`)
	})}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	status, answer, err := ask(path)
	require.NoError(t, err)
	require.Equal(t, "403 Forbidden", status)
	require.Equal(t, `{"message":"forbidden"}`, answer)
	require.Equal(t, "POST /modules?api-version=2022-08-03", request)
	require.Contains(t, body, `"name":"intruder"`)
}

func TestAskerSaysWhenNobodyListens(t *testing.T) {
	_, _, err := ask(filepath.Join(t.TempDir(), "s"))
	require.ErrorContains(t, err, "cannot ask edged")
}
