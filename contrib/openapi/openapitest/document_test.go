package openapitest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/httpapi"
)

var (
	management = Open("management.yaml")
	bundles    = Open("bundles.yaml")
	catalog    = Open("catalog.yaml")
)

func TestARouteAndAnOperationThatDifferAreNamed(t *testing.T) {
	d := management(t)
	var routes []httpapi.Route
	rules := map[string]access.Rule{"known": access.Known, "agent": access.Agent, "lifecycle": access.Lifecycle, "operator": access.Operator, "root": access.Root}
	for template, item := range d.lenient.Paths.Map() {
		for method, op := range item.Operations() {
			routes = append(routes, httpapi.Route{Method: method, Path: template, Since: text(op.Extensions["x-edged-since"]), Rule: rules[text(op.Extensions["x-edged-rule"])]})
		}
	}
	require.Empty(t, d.differences(routes))
	at := slices.IndexFunc(routes, func(r httpapi.Route) bool { return r.Path == "/deployment" && r.Method == "PUT" })
	for name, tc := range map[string]struct {
		change func(all []httpapi.Route) []httpapi.Route
		want   string
	}{
		"a further route": {
			func(all []httpapi.Route) []httpapi.Route {
				return append(all, httpapi.Route{Method: "GET", Path: "/further", Rule: access.Operator})
			},
			"there is a route GET /further and no such operation",
		},
		"a further method": {
			func(all []httpapi.Route) []httpapi.Route {
				return append(all, httpapi.Route{Method: "PATCH", Path: "/modules", Rule: access.Operator})
			},
			"there is a route PATCH /modules and no such operation",
		},
		"no route": {
			func(all []httpapi.Route) []httpapi.Route { return slices.Delete(all, at, at+1) },
			"there is an operation PUT /deployment and no such route",
		},
		"another rule": {
			func(all []httpapi.Route) []httpapi.Route { all[at].Rule = access.Known; return all },
			`PUT /deployment: x-edged-rule is "operator", and the rule of the route is "known"`,
		},
		"another version": {
			func(all []httpapi.Route) []httpapi.Route { all[at].Since = "2018-06-28"; return all },
			`PUT /deployment: x-edged-since is "2022-08-03", and the route's version is "2018-06-28"`,
		},
	} {
		require.Equal(t, []string{tc.want}, d.differences(tc.change(slices.Clone(routes))), name)
	}
}

func TestPathsAreFoundAsEdgedFindsThem(t *testing.T) {
	for path, want := range map[string]string{
		"/modules": "/modules", "/modules/": "/modules", "/modules/a%2Fb": "/modules/{name}", "/modules/x/STOP": "/modules/{name}/stop", "/modules/x/stop/": "", "/MODULES": "",
		"/volumes/prune": "/volumes/prune", "/volumes/data": "/volumes/{volume}", "//modules": "", "/modules//stop": "",
	} {
		require.Equal(t, want, management(t).find(path), path)
	}
	const root = "/modules/api/bundles"
	for path, want := range map[string]string{
		root: root, root + "/": root + "/", root + "/g/n/1/_start": root + "/{key}/_start", root + "/*/_info": root + "/{selector}/_info", root + "/_list": root + "/_list", root + "/_start": "",
	} {
		require.Equal(t, want, bundles(t).find(path), path)
	}
}

// TestWhatIsNotInTheDocumentIsSaid of status, headers and body of an answer, and of a request that was taken.
func TestWhatIsNotInTheDocumentIsSaid(t *testing.T) {
	const v = "?api-version=2022-08-03"
	identity := `{"moduleId":"a","managedBy":"b","generationId":"c","authType":"sas"}`
	for name, tc := range map[string]struct {
		ask, sent, header, body string
		status                  int
		want                    []string
	}{
		"all is well":              {ask: "PUT /identities/a" + v, sent: "{}", status: 200, body: identity},
		"a refusal":                {ask: "PUT /identities/a" + v, status: 403, body: `{"message":"forbidden"}`},
		"another status":           {ask: "PUT /identities/a" + v, status: 418, body: "{}", want: []string{"the document has no such answer: {}"}},
		"a further member":         {ask: "PUT /identities/a" + v, sent: "{}", status: 200, body: identity[:len(identity)-1] + `,"more":1}`, want: []string{`property "more" is unsupported`}},
		"a missing member":         {ask: "PUT /identities/a" + v, sent: "{}", status: 200, body: `{"moduleId":"a","managedBy":"b","authType":"sas"}`, want: []string{`property "generationId" is missing`}},
		"another word":             {ask: "PUT /identities/a" + v, sent: "{}", status: 200, body: strings.Replace(identity, "sas", "tpm", 1), want: []string{"not one of the allowed values"}},
		"no JSON":                  {ask: "PUT /identities/a" + v, sent: "{}", status: 200, body: "{", want: []string{"it is no JSON"}},
		"another type":             {ask: "PUT /identities/a" + v, sent: "{}", status: 200, header: "Content-Type: text/html", body: identity, want: []string{"no body of type text/html"}},
		"a further header":         {ask: "PUT /identities/a" + v, sent: "{}", status: 200, header: "X-More: 1", body: identity, want: []string{"the document has no header X-More"}},
		"no length":                {ask: "PUT /identities/a" + v, sent: "{}", status: 200, header: "Content-Length: ", body: identity, want: []string{"there is no header Content-Length"}},
		"a body of nothing":        {ask: "DELETE /identities/a" + v, status: 204, header: "Content-Length: ", body: "x", want: []string{"the document has no body"}},
		"another parameter":        {ask: "PUT /identities/a" + v + "&more=1", sent: "{}", status: 200, body: identity, want: []string{"the document has no parameter more"}},
		"no version":               {ask: "PUT /identities/a", sent: "{}", status: 200, body: identity, want: []string{"there is no parameter api-version"}},
		"a wrong boolean":          {ask: "GET /modules" + v + "&system=perhaps", status: 200, body: `{"modules":[]}`, want: []string{"parameter system"}},
		"no request body":          {ask: "PUT /identities/a" + v, status: 200, body: identity, want: []string{"the request's body, which was taken: there is none"}},
		"a wrong request body":     {ask: "POST /secrets/seal" + v, sent: `{"module":"a"}`, status: 200, body: `{"sealed":"x"}`, want: []string{`property "value" is missing`}},
		"that was refused":         {ask: "POST /secrets/seal" + v, sent: `{"module":"a"}`, status: 400, body: `{"message":"no"}`},
		"a wrong line":             {ask: "GET /events" + v, status: 200, header: "Content-Type: application/x-ndjson", body: "{\"kind\":\"ready\"}\n", want: []string{`property "time" is missing`}},
		"no such path":             {ask: "GET /none" + v, status: 404, body: `{"message":"not found"}`},
		"no such path, in its way": {ask: "GET /none" + v, status: 404, body: `{"detail":"not found"}`, want: []string{"unsupported"}},
		"no such method":           {ask: "PATCH /modules" + v, status: 405, header: "Allow: GET, POST", body: `{"message":"method not allowed"}`},
		"which are there":          {ask: "PATCH /modules" + v, status: 405, body: `{"message":"method not allowed"}`, want: []string{"there is no header Allow"}},
	} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1")
			if key, value, ok := strings.Cut(tc.header, ": "); ok {
				w.Header().Set(key, value)
				if value == "" {
					w.Header().Del(key)
				}
			}
			w.WriteHeader(tc.status)
			_, _ = io.WriteString(w, tc.body)
		})
		method, target, _ := strings.Cut(tc.ask, " ")
		said := &listening{TB: t}
		management(t).Holds(said, h).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, target, strings.NewReader(tc.sent)))
		all := strings.Join(said.said, "\n")
		require.Equal(t, len(tc.want) > 0, all != "", "%s: %s", name, all)
		for _, want := range tc.want {
			require.Contains(t, all, want, name)
		}
	}
}

// listening is a test that fails for others.
type listening struct {
	testing.TB
	said []string
}

func (*listening) Helper() {}

func (l *listening) Errorf(_ string, args ...any) {
	l.said = append(l.said, args[len(args)-1].(string))
}

func TestFormsAreHeldToTheirSchema(t *testing.T) {
	const boundary = "multipart/form-data; boundary=b"
	part := func(name, text string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + text + "\r\n"
	}
	install := operation(bundles(t).lenient, "/modules/api/bundles", "POST")
	require.NoError(t, request(install, boundary, []byte(part("bundle", "\x00")+part("bundle", "\x01")+part("start", "true")+part("more", "")+"--b--\r\n")))
	require.ErrorContains(t, request(install, boundary, []byte(part("start", "true")+"--b--\r\n")), "no field bundle")
	require.ErrorContains(t, request(install, boundary, []byte(part("bundle", "")+part("start", "")+part("start", "")+"--b--\r\n")), "more than one field start")
	require.ErrorContains(t, request(install, "application/json", []byte("{}")), "takes none of type application/json")
	require.NoError(t, request(operation(bundles(t).lenient, "/modules/api/bundles/{key}/_start", "POST"), "text/html", []byte("%")))
	create := operation(catalog(t).lenient, "/rest_api/v1/modules/", "POST")
	require.NoError(t, request(create, "application/x-www-form-urlencoded", []byte("name=a&active=")))
	require.Error(t, request(create, "application/x-www-form-urlencoded", []byte("%zz")))
	require.Error(t, request(create, "", []byte(`{"name":"a"}`)), "JSON is what a body without a type is")
}
