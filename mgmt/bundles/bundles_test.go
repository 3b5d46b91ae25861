package bundles

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/bundle"
	"github.com/edged/edged/pkg/client/wire"
)

var update = flag.Bool("update", false, "write testdata anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "go test ./mgmt/bundles -update writes it anew")
}

// TestEveryRouteForEveryCaller is who may do what, in full. A change of a rule is a change of
// the file, to be read in review.
func TestEveryRouteForEveryCaller(t *testing.T) {
	var text bytes.Buffer
	text.WriteString("# edgeAgent, other: modules. root: of the host. edged: host user in group edged. user: host user without permissions.\n" +
		"# others-permissions: host user with those of other APIs. foreign: another runtime's container. gone: its process has exited.\n")
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "bundles\trule\t%s\n", strings.Join(callers, "\t"))
	f := newFixture(t)
	names := map[string]string{"other": "/modules/other", "user": "/users/1001", "others-permissions": "/users/1004", "foreign": "unknown", "gone": "unknown"}
	body, kind := multi(t, "bundle", article())
	whole, err := io.ReadAll(body)
	require.NoError(t, err)
	for _, route := range (&api{Config: f.cfg}).routes() {
		fmt.Fprintf(table, "%s %s\t%s", route.Method, route.Path, route.Rule.Name())
		for _, who := range callers {
			if len(f.List()) == 0 {
				f.push("root", "bundle", article())
			}
			before := len(f.List())
			path := strings.NewReplacer("{key:.*}", "article", "{selector:.*}", "article/2.0.3.SNAPSHOT").Replace(route.Path)
			var w interface{ Result() *http.Response }
			if strings.HasSuffix(route.Path, "bundles") || strings.HasSuffix(route.Path, "/") {
				w = f.ask(who, route.Method, path, bytes.NewReader(whole), "Content-Type", kind)
			} else {
				w = f.ask(who, route.Method, path, nil)
			}
			resp := w.Result()
			fmt.Fprintf(table, "\t%d", resp.StatusCode)
			if resp.StatusCode == 401 {
				text, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, "user "+names[who]+" is not allowed to access Module Manager HTTP API", string(text))
				require.Equal(t, "text/plain; charset=utf-8", resp.Header.Get("Content-Type"))
				require.Equal(t, `Basic realm="edged"`, resp.Header.Get("WWW-Authenticate"))
				require.Equal(t, fmt.Sprint(len(text)), resp.Header.Get("Content-Length"))
				require.Len(t, f.List(), before)
			}
			require.NoError(t, resp.Body.Close())
		}
		fmt.Fprintln(table)
	}
	require.NoError(t, table.Flush())
	golden(t, "access.golden", text.Bytes())
}

func TestARouteWithoutARuleDoesNotStart(t *testing.T) {
	a := &api{Config: newFixture(t).cfg}
	for i := range a.routes() {
		routes := a.routes()
		require.Equal(t, routes[i].Method != http.MethodGet, routes[i].Change, "changes are audited")
		routes[i].Rule = access.Rule{}
		require.Panics(t, func() { a.mount(routes).Handler() })
	}
}

const (
	articleInfo = `{"groupId":"org.jahia.modules","symbolicName":"article","version":"2.0.3.SNAPSHOT","key":"org.jahia.modules/article/2.0.3.SNAPSHOT"}`
	newsInfo    = `{"groupId":null,"symbolicName":"news","version":"2.0.2","key":"news/2.0.2"}`
	successful  = `{"bundleInfos":[%s],"message":"Operation successful"}`
	articleKey  = "org.jahia.modules/article/2.0.3.SNAPSHOT"
)

func TestAnInstallAnswersWithItsKeys(t *testing.T) {
	for name, parts := range map[string][]string{
		"files":                         {"@bundle", article(), "@bundle", news()},
		"without file names":            {"bundle", article(), "bundle", news()},
		"fields before":                 {"start", "true", "target", "local", "ignoreChecks", "TRUE", "bundle", article(), "@bundle", news()},
		"fields between and after":      {"bundle", article(), "start", " True ", "@bundle", news(), "target", "null"},
		"fields that nobody knows":      {"other", strings.Repeat("x", 1<<16), "bundle", article(), "", "y", "@file", "z", "bundle", news()},
		"an own group":                  {"bundle", article(), "bundle", news(), "target", "plant"},
		"a target that is empty":        {"target", "", "start", "", "bundle", article(), "bundle", news()},
		"a start that is anything else": {"start", "yes", "bundle", article(), "bundle", news()},
	} {
		f := newFixture(t)
		w := f.push("root", parts...)
		require.Equal(t, 200, w.Code, "%s: %s", name, w.Body)
		require.Equal(t, fmt.Sprintf(successful, articleInfo+","+newsInfo), w.Body.String(), name)
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.Equal(t, fmt.Sprint(w.Body.Len()), w.Header().Get("Content-Length"))
		started := strings.Contains(strings.ToLower(strings.Join(parts, "|")), "start|true") || strings.Contains(strings.Join(parts, "|"), "start| True ")
		require.Equal(t, map[bool]string{true: `"ACTIVE"`, false: `"INSTALLED"`}[started], f.get("/news/2.0.2/_localState"), name)
	}
}

func TestOperationsAnswerWithTheKey(t *testing.T) {
	f := newFixture(t)
	f.push("root", "bundle", article(), "bundle", news())
	const kind = "application/x-www-form-urlencoded"
	for _, op := range []string{"start", "stop", "refresh", "update", "START"} {
		for _, key := range []string{"article", "article/2.0.3.SNAPSHOT", articleKey, "another.group/article/2.0.3.SNAPSHOT", "org.jahia.modules%2Farticle%2f2.0.3.SNAPSHOT", "artic%6ce"} {
			w := f.ask("root", "POST", Root+"/"+key+"/_"+op, nil)
			require.Equal(t, fmt.Sprintf(successful, articleInfo), w.Body.String(), "%s %s", op, key)
			require.Equal(t, 200, w.Code)
		}
	}
	for _, body := range []string{"DATA", "--request", "", "target=", "target=null", "target=local", "target=plant", "a=b&target=plant", "%zz", "target=unknown;x", "{}"} {
		w := f.ask("root", "POST", Root+"/news/_start", strings.NewReader(body), "Content-Type", kind)
		require.Equal(t, fmt.Sprintf(successful, newsInfo), w.Body.String(), body)
	}
	for _, op := range []string{"start", "stop", "uninstall", "refresh", "update"} {
		w := f.ask("root", "POST", Root+"/news/_"+op, strings.NewReader("target=unknown"), "Content-Type", kind)
		require.Equal(t, 400, w.Code)
		require.Equal(t, `{"status":400,"reasonPhrase":"Bad Request","message":"Supplied target unknown for module operation is not valid"}`, w.Body.String())
	}
	require.Equal(t, 200, f.ask("root", "POST", Root+"/news/_stop", strings.NewReader("target=unknown")).Code, "no form, no field")
	require.Equal(t, 413, f.ask("root", "POST", Root+"/news/_stop", strings.NewReader(strings.Repeat("x", maxForm+1))).Code)
	require.Equal(t, fmt.Sprintf(successful, newsInfo), f.ask("root", "POST", Root+"/news/_uninstall", nil).Body.String())
	require.Len(t, f.List(), 1)
}

func TestSelectors(t *testing.T) {
	f := newFixture(t)
	f.push("root", "bundle", article(), "bundle", news(), "start", "true")
	const a, n = `{"type":"MODULE","osgiState":"ACTIVE","moduleState":"STARTED"}`, `{"type":"BUNDLE","osgiState":"ACTIVE","moduleState":null}`
	const both = `{"` + articleKey + `":` + a + `,"news/2.0.2":` + n + `}`
	for selector, want := range map[string]string{
		"news/2.0.2": n, articleKey: a, "x/news/2.0.2": n, "news%2F2.0.2": n, "new%73/2.0.2": n,
		"[article/2.0.3.SNAPSHOT,news/2.0.2]":             `{"article/2.0.3.SNAPSHOT":` + a + `,"news/2.0.2":` + n + `}`,
		"%5Barticle/2.0.3.SNAPSHOT,news/2.0.2%5d":         `{"article/2.0.3.SNAPSHOT":` + a + `,"news/2.0.2":` + n + `}`,
		"%5b,news/2.0.2,,%20article/2.0.3.SNAPSHOT%20%5D": `{"news/2.0.2":` + n + `,"article/2.0.3.SNAPSHOT":` + a + `}`,
		"[]": `{}`, "[,]": `{}`, "%5B%20%5D": `{}`,
		"article/*": `{"` + articleKey + `":` + a + `}`, "org.jahia.modules/*/*": `{"` + articleKey + `":` + a + `}`, "org.jahia.modules/article/*": `{"` + articleKey + `":` + a + `}`,
		"news/*": `{"news/2.0.2":` + n + `}`, "none/*": `{}`, "none/*/*": `{}`, "*": both, "*/*/*": both, "%2a": both, "*/*": both,
	} {
		require.Equal(t, want, f.get("/"+selector+"/_localInfo"), selector)
		require.Equal(t, `{"node1":`+want+`}`, f.get("/"+selector+"/_info"), selector)
		require.Equal(t, `{"node1":`+want+`}`, f.get("/"+selector+"/_info?target=plant"), selector)
	}
	for selector, want := range map[string]string{
		"news/2.0.2": `"ACTIVE"`, "[news/2.0.2]": `{"news/2.0.2":"ACTIVE"}`, "%5B,news/2.0.2,article/2.0.3.SNAPSHOT%5D": `{"news/2.0.2":"ACTIVE","article/2.0.3.SNAPSHOT":"ACTIVE"}`, "[]": `{}`,
	} {
		require.Equal(t, want, f.get("/"+selector+"/_localState"), selector)
	}
}

func TestErrorsOfQuestions(t *testing.T) {
	f := newFixture(t)
	f.push("root", "bundle", news())
	bad := func(key string) string {
		return `{"status":400,"reasonPhrase":"Bad Request","message":"Invalid module key: ` + key + `"}`
	}
	missing := func(key string) string {
		return `{"status":404,"reasonPhrase":"Not Found","message":"Unable to find a module bundle corresponding to the key: ` + key + `"}`
	}
	const noRoute = `{"status":404,"reasonPhrase":"Not Found","message":"HTTP 404 Not Found"}`
	for path, want := range map[string]string{
		"/news/_localInfo": bad("news"), "/news%2f/_localInfo": bad("news/"), "/%20/_localState": bad(" "), "/%2f/_localInfo": bad("/"), "/*/_localState": bad("*"),
		"/[news/2.0.2,news]/_localInfo": bad("news"), "/[news,none/1]/_localState": bad("news"), "/news/_info": bad("news"), "/[news]/_info": bad("news"), "/[none/1,news]/_info": bad("news"),
		"/none/1/_localInfo": missing("none/1"), "/article/2.0.3.SPSHOT/_localState": missing("article/2.0.3.SPSHOT"), "/[none/1,news]/_localInfo": missing("none/1"),
		"/[none/1]/_localState": missing("none/1"), "/a%2520b/1/_localInfo": missing("a%20b/1"), "/a/*/_localState": missing("a/*"),
		"/[news/*]/_localInfo": noRoute, "/a*/1/_localInfo": noRoute, "/[a]b]/_localInfo": noRoute, "/[a/_localInfo": noRoute, "/*a/*b/_info": noRoute, "/%5Ba/_info": noRoute, "/*b/_localInfo": noRoute,
		"/news//_localInfo": noRoute, "/a//1/_localInfo": noRoute, "//_localInfo": noRoute, "//_localState": noRoute, "//_info": noRoute, "//news/2.0.2/_localInfo": noRoute, "/a]/_localState": noRoute, "/[[a]]/_localState": noRoute,
		"/_localInfo": noRoute, "/news/2.0.2/_localinfo2": noRoute, "/news/2.0.2/_localInfo/": noRoute, "/news/../news/2.0.2/_localInfo": noRoute, "/./_info": noRoute, "/news": noRoute, "/news/2.0.2": noRoute,
	} {
		w := f.ask("root", "GET", Root+path, nil)
		require.Equal(t, want, w.Body.String(), path)
		require.Contains(t, want, fmt.Sprintf(`"status":%d`, w.Code))
		require.Equal(t, fmt.Sprint(w.Body.Len()), w.Header().Get("Content-Length"))
	}
	node := `{"node1":{"message":"Error retrieving bundle info from cluster node node1","cause":"org.jahia.services.modulemanager.ModuleNotFoundException: Unable to find a module bundle corresponding to the key: article/2.0.3.SPSHOT"}}`
	require.Equal(t, node, f.get("/article/2.0.3.SPSHOT/_info"))
	require.Equal(t, node, f.get("/[news/2.0.2,article/2.0.3.SPSHOT]/_info"))
	w := f.ask("root", "GET", Root+"/news/2.0.2/_info?target=unknown", nil)
	require.Equal(t, `{"status":400,"reasonPhrase":"Bad Request","message":"Supplied target unknown for module operation is not valid"}`, w.Body.String())
}

func TestRoutingComesBeforeWhoIsAsking(t *testing.T) {
	f := newFixture(t)
	for _, tc := range []struct {
		method, path, allow string
	}{
		{"GET", "", "POST"},
		{"GET", "/", "POST"},
		{"DELETE", "", "POST"},
		{"GET", "/news/_start", "POST"},
		{"POST", "/news/1/_info", "GET"},
		{"DELETE", "/news/1/_localState", "GET"},
		{"GET", "/_storeAllLocalPersistentStates", "POST"},
		{"POST", "/_list", "GET"},
	} {
		w := f.ask("user", tc.method, Root+tc.path, nil)
		require.Equal(t, `{"status":405,"reasonPhrase":"Method Not Allowed","message":"HTTP 405 Method Not Allowed"}`, w.Body.String(), tc.path)
		require.Equal(t, 405, w.Code)
		require.Equal(t, tc.allow, w.Header().Get("Allow"))
	}
	for _, path := range []string{"/_start", "//_start", "/a//_start", "//a/_stop", "/a/../_start"} {
		require.Equal(t, 404, f.ask("user", "POST", Root+path, nil).Code, path)
	}
	for _, path := range []string{"/[a/_localInfo", "/a]/_info", "/a*/1/_localInfo", "/[a/*]/_info", "/[a]b]/_localState", "/%5ba/_localState"} {
		require.Equal(t, 404, f.ask("user", "GET", Root+path, nil).Code, path)
		require.Equal(t, 404, f.ask("user", "POST", Root+path, nil).Code, "%s: the path comes before the method", path)
	}
	require.Equal(t, 401, f.ask("user", "POST", Root+"/none/_start", nil).Code, "401 comes before whether there is one")
	require.Equal(t, 401, f.ask("user", "POST", Root, strings.NewReader("x"), "Content-Type", "text/plain").Code, "and before 415")
}

func TestErrorsOfChanges(t *testing.T) {
	f := newFixture(t)
	f.push("root", "bundle", article())
	const notABundle = `"message":"Unable to install module. Cause: Submitted bundle is either not a valid OSGi bundle or has no required manifest headers Bundle-SymbolicName and Implementation-Version/Bundle-Version"}`
	for name, tc := range map[string]struct {
		parts []string
		want  string
	}{
		"no part":                {nil, `{"status":400,"reasonPhrase":"Bad Request","message":"At least one bundle file is required"}`},
		"no part bundle":         {[]string{"file", news()}, `{"status":400,"reasonPhrase":"Bad Request","message":"At least one bundle file is required"}`},
		"no jar":                 {[]string{"bundle", news(), "bundle", "x"}, `{"status":400,"reasonPhrase":"Bad Request",` + notABundle},
		"an empty one":           {[]string{"bundle", ""}, `{"status":400,"reasonPhrase":"Bad Request",` + notABundle},
		"a target of nobody":     {[]string{"bundle", news(), "target", "x"}, `{"status":400,"reasonPhrase":"Bad Request","message":"Supplied target x for module operation is not valid"}`},
		"too large, all of them": {[]string{"bundle", news(), "bundle", strings.Repeat("x", testMaxSize)}, `{"status":413,"reasonPhrase":"Request Entity Too Large","message":"the bundles are larger than the 1048576 bytes that this device takes ([uploads] max_size)"}`},
		"of another group": {[]string{"bundle", jar("article", "2.0.3.SNAPSHOT")}, `{"status":500,"reasonPhrase":"Internal Server Error","message":"Error while installing bundle",` +
			`"cause":"org.osgi.framework.BundleException: A bundle is already installed with the name \"article\" and version \"2.0.3.SNAPSHOT\""}`},
	} {
		w := f.push("root", tc.parts...)
		require.Equal(t, tc.want, w.Body.String(), name)
		require.Contains(t, tc.want, fmt.Sprintf(`"status":%d`, w.Code), name)
		require.Len(t, f.List(), 1, name)
	}
	for key, want := range map[string]string{
		"org.jahia.modules/article/2.0.3.SPSHOT": `{"status":404,"reasonPhrase":"Not Found","message":"Unable to find a module bundle corresponding to the key: org.jahia.modules/article/2.0.3.SPSHOT"}`,
		"none":                                   `{"status":404,"reasonPhrase":"Not Found","message":"Unable to find a module bundle corresponding to the key: none"}`,
		"%20":                                    `{"status":400,"reasonPhrase":"Bad Request","message":"Bundle key is mandatory for start operation."}`,
		"%zz":                                    "",
	} {
		if want != "" {
			require.Equal(t, want, f.ask("root", "POST", Root+"/"+key+"/_start", nil).Body.String())
		}
	}
	f.framework.mu.Lock()
	f.framework.no = &bundle.Refused{Class: "org.osgi.framework.BundleException", Type: 4, Text: "Unable to resolve article", Root: "java.lang.Error: deep"}
	f.framework.mu.Unlock()
	for op, verb := range map[string]string{"start": "starting", "stop": "stopping", "refresh": "refreshing", "update": "updating", "uninstall": "uninstalling"} {
		w := f.ask("root", "POST", Root+"/article/_"+op, nil)
		require.Equal(t, `{"status":500,"reasonPhrase":"Internal Server Error","message":"Error while `+verb+` bundle `+articleKey+`",`+
			`"cause":"org.osgi.framework.BundleException: Unable to resolve article; caused by java.lang.Error: deep"}`, w.Body.String(), op)
	}
}

func TestADeviceWithoutAHost(t *testing.T) {
	f := newFixture(t)
	f.memory.absent = true
	f.Connected(dead{f.framework})
	require.Equal(t, 200, f.push("root", "bundle", news()).Code)
	require.Equal(t, `{"type":"BUNDLE","osgiState":"INSTALLED","moduleState":null}`, f.get("/news/2.0.2/_localInfo"))
	w := f.ask("root", "POST", Root+"/news/_start", nil)
	require.Equal(t, `{"status":503,"reasonPhrase":"Service Unavailable","message":"there is no OSGi framework on this device: install the package edged-osgi, or name an image in [bundles] host_image"}`, w.Body.String())
	require.Contains(t, f.get("/_list"), `"wanted":true`)
}

// dead is a framework that ended.
type dead struct{ *simple }

func (dead) Done() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// unread is a body that must not be looked at.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestRefusalsComeBeforeTheBodyIsRead(t *testing.T) {
	f := newFixture(t)
	const kind = "multipart/form-data; boundary=b"
	require.Equal(t, 401, f.ask("user", "POST", Root, unread{t}, "Content-Type", kind).Code)
	w := f.ask("root", "POST", Root, unread{t}, "Content-Type", "application/java-archive", "Expect", "100-continue")
	require.Equal(t, `{"status":415,"reasonPhrase":"Unsupported Media Type","message":"HTTP 415 Unsupported Media Type"}`, w.Body.String())
	require.Equal(t, 415, f.ask("root", "POST", Root, unread{t}, "Content-Type", "multipart/form-data", "Expect", "100-continue").Code, "without a boundary")
	sent := strings.NewReader("all of it")
	require.Equal(t, 415, f.ask("root", "POST", Root, sent).Code)
	require.Zero(t, sent.Len(), "who does not wait for leave would not see the answer before")
	f.FreeFloor = 1 << 60
	w = f.ask("root", "POST", Root, unread{t}, "Content-Type", kind, "Expect", "100-continue")
	require.Equal(t, 507, w.Code, w.Body.String())
}

func TestBodiesThatEndTooEarlyLeaveNothing(t *testing.T) {
	f := newFixture(t)
	body, kind := multi(t, "bundle", news())
	whole, err := io.ReadAll(body)
	require.NoError(t, err)
	_, boundary, _ := strings.Cut(kind, "boundary=")
	last := strings.LastIndex(string(whole), "--"+boundary+"--")
	for name, text := range map[string]string{
		"nothing":             "",
		"in a part":           string(whole[:last-20]),
		"behind a part":       string(whole[:last]),
		"no last boundary":    string(whole[:last]) + "--" + boundary + "\r\n",
		"headers without end": "--" + boundary + "\r\n" + strings.Repeat("X: y\r\n", 20000),
	} {
		w := f.ask("root", "POST", Root, strings.NewReader(text), "Content-Type", kind)
		require.Equal(t, 400, w.Code, "%s: %s", name, w.Body)
		require.Empty(t, f.List(), name)
	}
	w := f.ask("root", "POST", Root, io.MultiReader(bytes.NewReader(whole[:50]), slow{}), "Content-Type", kind)
	require.Equal(t, 408, w.Code, w.Body.String())
	w = f.ask("root", "POST", Root, io.MultiReader(bytes.NewReader(whole[:last-20]), failing{}), "Content-Type", kind)
	require.Equal(t, 400, w.Code, w.Body.String())
	require.Equal(t, 200, f.ask("root", "POST", Root, io.MultiReader(strings.NewReader("before\r\n"), bytes.NewReader(whole), strings.NewReader("behind")), "Content-Type", kind).Code)
}

type slow struct{}

func (slow) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("reset") }

func TestPersistentStates(t *testing.T) {
	f := newFixture(t)
	f.push("root", "bundle", article(), "start", "true")
	w := f.ask("root", "POST", Root+"/_storeAllLocalPersistentStates", nil)
	const states = `[{"symbolicName":"framework","location":"System Bundle","id":0,"state":32,"version":"1","startLevel":0},` +
		`{"symbolicName":"` + articleKey + `","location":"dx:` + articleKey + `","id":1,"state":32,"version":"2.0.3.SNAPSHOT","startLevel":80}]`
	require.Equal(t, states, w.Body.String())
	require.Equal(t, states, f.get("/_localPersistentStates"))
	f.ask("root", "POST", Root+"/article/_stop", nil)
	w = f.ask("root", "POST", Root+"/_restoreAllLocalPersistentStates", strings.NewReader(states), "Content-Type", "application/json")
	require.Equal(t, fmt.Sprintf(successful, articleInfo), w.Body.String())
	require.Equal(t, `"ACTIVE"`, f.get("/"+articleKey+"/_localState"))
	w = f.ask("root", "POST", Root+"/_restoreAllLocalPersistentStates", nil)
	require.Equal(t, fmt.Sprintf(successful, ""), w.Body.String(), "as stored last")
	for body, status := range map[string]int{`[{"location":"dx:none/1.0.0","state":32,"startLevel":1}]`: 404, `{}`: 422, `x`: 422} {
		require.Equal(t, status, f.ask("root", "POST", Root+"/_restoreAllLocalPersistentStates", strings.NewReader(body)).Code, body)
	}
}

func TestTheListIsForOperators(t *testing.T) {
	f := newFixture(t)
	require.Equal(t, `{"bundles":[]}`, f.get("/_list"))
	f.push("root", "bundle", article(), "start", "true")
	var list wire.BundleList
	require.NoError(t, json.Unmarshal([]byte(f.get("/_list")), &list))
	require.Len(t, list.Bundles, 1)
	b := list.Bundles[0]
	require.Equal(t, []any{articleKey, "MODULE", "ACTIVE", true}, []any{b.Key, b.Type, b.State, b.Wanted})
}
