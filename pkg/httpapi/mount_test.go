package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/peer"
)

func host(uid uint32) peer.Caller { return peer.Caller{Kind: peer.Host, UID: uid, GID: uid} }

func moduleCaller(name string) peer.Caller {
	return peer.Caller{Kind: peer.Module, Instance: &peer.Instance{Module: name, Generation: 1, ContainerID: name + "-g1"}}
}

// mountFor is a mount without versions whose requests all come from one caller.
func mountFor(t *testing.T, caller peer.Caller, routes ...Route) http.Handler {
	return newMount(t, caller, false, routes...)
}

func newMount(t *testing.T, caller peer.Caller, versions bool, routes ...Route) http.Handler {
	log := audit.New(io.Discard)
	t.Cleanup(log.Close)
	m := &Mount{Routes: routes, Versions: versions, WriteError: MessageError, Decider: access.New(nil), Audit: log, Limits: testLimits}
	h := m.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(peer.NewContext(r.Context(), caller)))
	})
}

func ok(w http.ResponseWriter, r *Request) error {
	WriteJSON(w, http.StatusOK, r.Module)
	return nil
}

func ask(h http.Handler, method, url, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, url, strings.NewReader(body)))
	return w
}

func TestATableThatIsWrongPanics(t *testing.T) {
	good := Route{Method: "GET", Path: "/x", Since: "2018-06-28", Rule: access.Known, Handle: ok}
	for want, routes := range map[string][]Route{
		"route GET /x has no access rule":     {func() Route { r := good; r.Rule = access.Rule{}; return r }()},
		"route GET /x has no handler":         {func() Route { r := good; r.Handle = nil; return r }()},
		"route GET /x has no api-version":     {func() Route { r := good; r.Since = "2017-01-01"; return r }()},
		"route GET /x is registered twice":    {good, good},
		"route DELETE /x has no access rule":  {good, {Method: "DELETE", Path: "/x", Since: "2018-06-28", Handle: ok}},
		"route POST /x/y has no api-version":  {good, {Method: "POST", Path: "/x/y", Rule: access.Known, Handle: ok}},
		"route GET /x/{name} has no handler":  {{Method: "GET", Path: "/x/{name}", Since: "2018-06-28", Rule: access.Known}},
		"route GET /x/{name} has no api-vers": nil,
	} {
		if routes == nil {
			continue
		}
		require.PanicsWithValue(t, want, func() { (&Mount{Versions: true, Routes: routes}).Handler() })
	}
	require.NotPanics(t, func() { (&Mount{Versions: true, Routes: []Route{good}}).Handler() })
}

func TestTheOrderOfTheQuestions(t *testing.T) {
	never := func(http.ResponseWriter, *Request) error { return errors.New("the handler was asked") }
	asJSON := func(w http.ResponseWriter, r *Request) error {
		var v struct{ Name string }
		if err := r.JSON(&v); err != nil {
			return err
		}
		return ok(w, r)
	}
	const v, old = "?api-version=2019-01-30", "?api-version=2018-06-28"
	for _, tc := range []struct {
		name, method, url, header, body string
		caller                          peer.Caller
		want                            int
	}{
		{"version before route", "GET", "/nothing", "", "", host(0), 400},
		{"version before method", "PUT", "/x", "", "", host(0), 400},
		{"route before method", "PUT", "/nothing" + v, "", "", host(0), 404},
		{"method before who", "PUT", "/x" + v, "", "", peer.Caller{}, 405},
		{"who before name", "POST", "/x/a%2Fb/do" + v, "", "", host(0), 403},
		{"who before content type", "POST", "/x" + v, "Content-Type: text/plain", "{}", host(0), 403},
		{"who before body", "POST", "/x" + v, "", "{", host(0), 403},
		{"name before handler", "GET", "/x/a%2Fb" + v, "", "", host(0), 400},
		{"content type before body", "POST", "/x" + v, "Content-Type: text/plain", "{", moduleCaller("edgeAgent"), 415},
		{"body", "POST", "/x" + v, "", "{", moduleCaller("edgeAgent"), 422},
		{"all is fine", "POST", "/x" + v, "", "{}", moduleCaller("edgeAgent"), 200},
		{"too old for the route", "GET", "/new" + old, "", "", host(0), 404},
		{"too old for the method", "DELETE", "/x" + old, "", "", host(0), 405},
		{"version before a page", "GET", "/x", "Origin: http://page.example", "", host(0), 400},
		{"route before a page", "GET", "/nothing" + v, "Origin: http://page.example", "", host(0), 404},
		{"method before a page", "OPTIONS", "/x" + v, "Origin: http://page.example", "", host(0), 405},
		{"a page of another site", "GET", "/x" + v, "Sec-Fetch-Site: cross-site", "", host(0), 403},
		{"a page of the same site", "GET", "/x" + v, "Sec-Fetch-Site: same-origin", "", moduleCaller("edgeAgent"), 403},
		{"a page that shall not be known", "GET", "/x" + v, "Origin: null", "", host(0), 403},
		{"a page before name", "GET", "/x/a%2Fb" + v, "Origin: ", "", host(0), 403},
		{"a page before body", "POST", "/x" + v, "Origin: http://localhost:6060", "{", moduleCaller("edgeAgent"), 403},
		{"another program's fetch", "GET", "/x" + v, "Sec-Fetch-Mode: cors", "", host(0), 200},
		{"new enough for the method", "DELETE", "/x" + v, "", "", host(0), 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newMount(t, tc.caller, true,
				Route{Method: "GET", Path: "/x", Since: "2018-06-28", Rule: access.Known, Handle: ok},
				Route{Method: "POST", Path: "/x", Since: "2018-06-28", Rule: access.Agent, Handle: asJSON},
				Route{Method: "DELETE", Path: "/x", Since: "2019-01-30", Rule: access.Agent, Handle: never},
				Route{Method: "GET", Path: "/x/{name}", Since: "2018-06-28", Rule: access.Known, Handle: never},
				Route{Method: "POST", Path: "/x/{name}/do", Since: "2018-06-28", Rule: access.Agent, Handle: never},
				Route{Method: "GET", Path: "/new", Since: "2019-01-30", Rule: access.Known, Handle: ok},
			)
			r := httptest.NewRequest(tc.method, tc.url, strings.NewReader(tc.body))
			if name, value, ok := strings.Cut(tc.header, ": "); ok {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, tc.want, w.Code, w.Body.String())
		})
	}
}

func TestWhatIsNotAllowedSaysWhatIs(t *testing.T) {
	h := newMount(t, host(0), true,
		Route{Method: "POST", Path: "/x", Since: "2018-06-28", Rule: access.Known, Handle: ok},
		Route{Method: "GET", Path: "/x", Since: "2018-06-28", Rule: access.Known, Handle: ok},
		Route{Method: "DELETE", Path: "/x", Since: "2019-01-30", Rule: access.Known, Handle: ok},
	)
	for version, want := range map[string]string{"2018-06-28": "GET, POST", "2022-08-03": "DELETE, GET, POST"} {
		for _, method := range []string{"PUT", "HEAD", "OPTIONS", "PATCH", "get"} {
			w := ask(h, method, "/x?api-version="+version, "")
			require.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
			require.Equal(t, want, w.Header().Get("Allow"))
			require.JSONEq(t, `{"message":"method not allowed"}`, w.Body.String())
		}
	}
}

func TestVersions(t *testing.T) {
	h := newMount(t, host(0), true, Route{Method: "GET", Path: "/x", Since: "2018-06-28", Rule: access.Known, Handle: ok})
	for _, v := range []string{"2018-06-28", "2019-01-30", "2019-10-22", "2019-11-05", "2020-07-07", "2021-12-07", "2022-08-03"} {
		require.Equal(t, 200, ask(h, "GET", "/x?api-version="+v, "").Code, v)
	}
	for query, message := range map[string]string{
		"":                        "api-version not specified",
		"?api-version=":           "api-version not specified",
		"?API-VERSION=2018-06-28": "api-version not specified",
		"?api-version=2018-06-28&api-version=2018-06-28": "api-version is given more than once",
		"?api-version=2018-06-28&api-version=":           "api-version is given more than once",
		"?api-version=2018-06-29":                        `invalid api-version "2018-06-29"`,
		"?api-version=2021-05-11":                        `invalid api-version "2021-05-11"`,
		"?api-version=2018-06-28%20":                     `invalid api-version "2018-06-28 "`,
		"?api-version=latest":                            `invalid api-version "latest"`,
		"?api-version=%22":                               `invalid api-version "\""`,
	} {
		for _, path := range []string{"/x", "/nothing"} {
			w := ask(h, "GET", path+query, "")
			require.Equal(t, 400, w.Code, query)
			var e struct{ Message string }
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e))
			require.Equal(t, message, e.Message)
		}
	}
}

func TestPathsAreTakenAsTheyAre(t *testing.T) {
	h := mountFor(t, host(0),
		Route{Method: "GET", Path: "/things", Rule: access.Known, Handle: ok},
		Route{Method: "GET", Path: "/things/{name}", Rule: access.Known, Handle: ok},
		Route{Method: "GET", Path: "/things/{name}/start", Rule: access.Known, Handle: ok},
	)
	for path, want := range map[string]string{
		"/things": `""`, "/things/": `""`, "/things/a": `"a"`, "/things/$edgeHub": `"edgeHub"`, "/things/%24edgeHub": `"edgeHub"`,
		"/things/a/start": `"a"`, "/things/a/START": `"a"`, "/things/a/StArT": `"a"`, "/things/a%20b": `"a b"`, "/things/%D0%BC": `"м"`, "/things/м": `"м"`,
		"/things/%2524": `"%24"`, "/things/a.b": `"a.b"`, "/things/...": `"..."`, "/things/start/start": `"start"`, "/things/a;b": `"a;b"`, "/things/a+b": `"a+b"`,
		"/things/%7Bname%7D": `"{name}"`,
	} {
		w := ask(h, "GET", path, "")
		require.Equal(t, 200, w.Code, path)
		require.Equal(t, want, w.Body.String(), path)
	}
	for path, want := range map[string]int{
		"/": 404, "//things": 404, "/things//": 404, "/things//start": 404, "/Things": 404, "/things/a/": 404, "/things/a/start/": 404, "/things/a/stop": 404,
		"/things/../things": 404, "/./things": 404, "/things/.": 404, "/things/..": 404, "/things/../start": 404, "/things/a/../start": 404, "/things/./start": 404,
		"/things/%2e%2e": 400, "/things/%2e": 400, "/things/a%2fb": 400, "/things/%2F": 400, "/things/%00": 400, "/things/$": 400, "/things/%24": 400,
		"/things/%0a": 400, "/things/%ff": 400, "/things/a/%73tart": 404, "/%74hings": 404, "/things%2Fa": 404,
		"/things/" + strings.Repeat("x", 256): 400,
	} {
		w := ask(h, "GET", path, "")
		require.Equal(t, want, w.Code, path)
		require.Empty(t, w.Header().Get("Location"))
	}
}

// TestWhatDoesNotFitHasNoRoute whoever asks, and by whatever method.
func TestWhatDoesNotFitHasNoRoute(t *testing.T) {
	fits := func(r *Request) bool {
		text, err := r.Var("text")
		return err == nil && text == "a/b"
	}
	h := mountFor(t, peer.Caller{}, Route{Method: "GET", Path: "/x/{text:.*}/do", Fits: fits, Rule: access.Known, Handle: ok})
	for path, want := range map[string][2]int{
		"/x/a/b/do": {403, 405}, "/x/a%2Fb/do": {403, 405}, "/x/a/do": {404, 404}, "/x//do": {404, 404}, "/x/a//b/do": {404, 404},
	} {
		require.Equal(t, want, [2]int{ask(h, "GET", path, "").Code, ask(h, "POST", path, "").Code}, path)
	}
}

func TestWhoIsUnknownIsRefusedWithoutAReason(t *testing.T) {
	for _, caller := range []peer.Caller{{}, {Reason: peer.ReasonGone}, {Kind: peer.Module}} {
		w := ask(mountFor(t, caller, Route{Method: "GET", Path: "/x", Rule: access.Known, Handle: ok}), "GET", "/x", "")
		require.Equal(t, 403, w.Code)
		require.JSONEq(t, `{"message":"forbidden"}`, w.Body.String())
	}
}

// TestPagesAreRefusedInTheRecordAsPages whatever they would have been refused for; who is
// unknown stays that.
func TestPagesAreRefusedInTheRecordAsPages(t *testing.T) {
	for want, caller := range map[string]peer.Caller{access.ReasonBrowser: host(0), peer.ReasonGone: {Reason: peer.ReasonGone}} {
		var text bytes.Buffer
		log := audit.New(&text)
		m := &Mount{Routes: []Route{{Method: "POST", Path: "/x", Rule: access.Agent, Handle: ok}}, WriteError: MessageError, Decider: access.New(nil), Audit: log}
		r := httptest.NewRequest("POST", "/x", nil)
		r.Header.Set("Origin", "http://page.example")
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, r.WithContext(peer.NewContext(r.Context(), caller)))
		require.Equal(t, 403, w.Code)
		require.JSONEq(t, `{"message":"forbidden"}`, w.Body.String())
		log.Close()
		var record struct{ Reason, Rule string }
		require.NoError(t, json.Unmarshal(text.Bytes(), &record), text.String())
		require.Equal(t, want, record.Reason)
		require.Equal(t, "agent", record.Rule)
	}
}

func TestARequestWithoutAConnectionIsNobodys(t *testing.T) {
	log := audit.New(io.Discard)
	defer log.Close()
	m := &Mount{Routes: []Route{{Method: "GET", Path: "/x", Rule: access.Known, Handle: ok}}, WriteError: MessageError, Decider: access.New(nil), Audit: log}
	require.Equal(t, 403, ask(m.Handler(), "GET", "/x", "").Code)
}

func TestBodiesAreJSON(t *testing.T) {
	h := mountFor(t, host(0), Route{Method: "POST", Path: "/x", Rule: access.Known, Handle: func(w http.ResponseWriter, r *Request) error {
		var v struct{ Name string }
		if err := r.JSON(&v); err != nil {
			return err
		}
		WriteJSON(w, 200, v.Name)
		return nil
	}})
	for _, tc := range []struct {
		contentType, body string
		want              int
		message           string
	}{
		{"application/json", `{"name":"a"}`, 200, ""},
		{"application/json; charset=utf-8", `{"name":"a"}`, 200, ""},
		{"APPLICATION/JSON", `{"name":"a"}`, 200, ""},
		{"", `{"name":"a"}`, 200, ""},
		{"", `{"name":"a","unknown":[1]}`, 200, ""},
		{"text/plain", `{"name":"a"}`, 415, "request body must be application/json"},
		{"application/jsonx", `{"name":"a"}`, 415, "request body must be application/json"},
		{"application/x-www-form-urlencoded", `{"name":"a"}`, 415, "request body must be application/json"},
		{"a/b/c", `{"name":"a"}`, 415, "request body must be application/json"},
		{"", "", 400, "missing request body"},
		{"", "{", 422, "request body is malformed: unexpected end of JSON input (at byte 1)"},
		{"", `{"name":1}`, 422, "request body is malformed: Name: a number is not what belongs here (at byte 9)"},
		{"", `{"name":"a"} x`, 422, "request body is malformed: invalid character 'x' after top-level value (at byte 14)"},
		{"", strings.Repeat(" ", 1<<20) + "1", 413, "request body is larger than 1048576 bytes"},
	} {
		r := httptest.NewRequest("POST", "/x", strings.NewReader(tc.body))
		if tc.contentType != "" {
			r.Header.Set("Content-Type", tc.contentType)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, tc.want, w.Code, w.Body.String())
		if tc.message != "" {
			var e struct{ Message string }
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e))
			require.Equal(t, tc.message, e.Message)
		}
		require.Equal(t, fmt.Sprint(w.Body.Len()), w.Header().Get("Content-Length"))
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	}
}

func TestBooleansAreStrict(t *testing.T) {
	h := mountFor(t, host(0), Route{Method: "GET", Path: "/x", Rule: access.Known, Handle: func(w http.ResponseWriter, r *Request) error {
		b, err := r.Bool("start")
		if err == nil {
			WriteJSON(w, 200, b)
		}
		return err
	}})
	for query, want := range map[string]string{"": "false", "?start=true": "true", "?start=false": "false"} {
		require.Equal(t, want, ask(h, "GET", "/x"+query, "").Body.String())
	}
	for _, query := range []string{"?start=", "?start", "?start=True", "?start=1", "?start=maybe", "?start=%20true"} {
		w := ask(h, "GET", "/x"+query, "")
		require.Equal(t, 400, w.Code)
		require.JSONEq(t, `{"message":"invalid parameter: start"}`, w.Body.String())
	}
}

func TestAStreamThatBreaksIsCutOff(t *testing.T) {
	h := mountFor(t, host(0), Route{Method: "GET", Path: "/x", Rule: access.Known, Handle: func(w http.ResponseWriter, _ *Request) error {
		_, _ = io.WriteString(w, "half")
		return fmt.Errorf("disk broken: %w", errdefs.ErrInternal)
	}})
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { ask(h, "GET", "/x", "") })
}
