package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

var spec = wire.ModuleSpec{
	Name: "a$b/é %", Type: "docker", ImagePullPolicy: "never",
	Config: wire.Config{Settings: wire.Settings{Image: "i:1", CreateOptions: json.RawMessage(`{"Cmd":["x"]}`)}, Env: []wire.EnvVar{{Key: "K", Value: "V"}}},
}

// Every call is the contract's request: method, escaped path, version, body.
func TestCallsAreTheContractsRequests(t *testing.T) {
	const one = `{"id":"m","name":"m","type":"docker","config":{"settings":{"image":"i:1"},"env":[]},"status":{"runtimeStatus":{"status":"running"}}}`
	specJSON, err := json.Marshal(spec)
	require.NoError(t, err)
	ctx := context.Background()
	for name, tc := range map[string]struct {
		call    func(c *client.Client) (any, error)
		request string
		body    string
		status  int
		answer  string
		want    any
	}{
		"list": {
			call:    func(c *client.Client) (any, error) { l, err := c.List(ctx); return len(l), err },
			request: "GET /modules?api-version=2022-08-03", status: 200, answer: `{"modules":[` + one + `]}`, want: 1,
		},
		"get": {
			call:    func(c *client.Client) (any, error) { return nameOf(c.Get(ctx, "$a b")) },
			request: "GET /modules/$a%20b?api-version=2022-08-03", status: 200, answer: one, want: "m",
		},
		"create": {
			call:    func(c *client.Client) (any, error) { return nameOf(c.Create(ctx, spec)) },
			request: "POST /modules?api-version=2022-08-03", body: string(specJSON), status: 201, answer: one, want: "m",
		},
		"update": {
			call:    func(c *client.Client) (any, error) { return nameOf(c.Update(ctx, spec, true)) },
			request: "PUT /modules/a$b%2F%C3%A9%20%25?api-version=2022-08-03&start=true", body: string(specJSON), status: 200, answer: one, want: "m",
		},
		"update without start": {
			call:    func(c *client.Client) (any, error) { return nameOf(c.Update(ctx, spec, false)) },
			request: "PUT /modules/a$b%2F%C3%A9%20%25?api-version=2022-08-03&start=false", body: string(specJSON), status: 200, answer: one, want: "m",
		},
		"prepare": {
			call:    func(c *client.Client) (any, error) { return nil, c.Prepare(ctx, spec) },
			request: "POST /modules/a$b%2F%C3%A9%20%25/prepareupdate?api-version=2022-08-03", body: string(specJSON), status: 204,
		},
		"delete": {
			call:    func(c *client.Client) (any, error) { return nil, c.Delete(ctx, "m") },
			request: "DELETE /modules/m?api-version=2022-08-03", status: 204,
		},
		"start": {
			call:    func(c *client.Client) (any, error) { return nil, c.Start(ctx, "m") },
			request: "POST /modules/m/start?api-version=2022-08-03", status: 204,
		},
		"stop": {
			call:    func(c *client.Client) (any, error) { return nil, c.Stop(ctx, "m") },
			request: "POST /modules/m/stop?api-version=2022-08-03", status: 204,
		},
		"restart": {
			call:    func(c *client.Client) (any, error) { return nil, c.Restart(ctx, "m") },
			request: "POST /modules/m/restart?api-version=2022-08-03", status: 204,
		},
		"networks": {
			call: func(c *client.Client) (any, error) {
				n, err := c.Networks(ctx)
				if err != nil {
					return nil, err
				}
				return n[0].Name, nil
			},
			request: "GET /networks?api-version=2022-08-03", status: 200, answer: `{"networks":[{"name":"edged"}]}`, want: "edged",
		},
		"systeminfo": {
			call: func(c *client.Client) (any, error) {
				i, err := c.SystemInfo(ctx)
				if err != nil {
					return nil, err
				}
				return i.Version, nil
			},
			request: "GET /systeminfo?api-version=2022-08-03", status: 200, answer: `{"version":"1.2"}`, want: "1.2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var request, body, contentType string
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				request, body, contentType = r.Method+" "+r.RequestURI, string(b), r.Header.Get("Content-Type")
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.answer)
			})
			got, err := tc.call(c)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			require.Equal(t, tc.request, request)
			require.Equal(t, tc.body, body)
			if tc.body != "" {
				require.Equal(t, "application/json", contentType)
			}
		})
	}
}

func nameOf(m *wire.Module, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return m.Name, nil
}

func TestOneConnectionServesManyCalls(t *testing.T) {
	seen := map[any]bool{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen[r.Context().Value(http.LocalAddrContextKey)] = true
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = io.WriteString(w, `{"modules":[]}`)
	})
	for range 3 {
		_, err := c.List(t.Context())
		require.NoError(t, err)
		require.NoError(t, c.Start(t.Context(), "m"))
	}
	require.Len(t, seen, 1)
}

func TestAnswersThatAreNotEdgedsAreErrors(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/modules2", http.StatusFound) },
		"cut short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := serve(t, h).List(t.Context())
			require.Error(t, err)
		})
	}
}

func TestAnAnswerWithoutEndIsCutOff(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<20)
		for {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	_, err := c.List(t.Context())
	require.ErrorContains(t, err, "larger than")
}
