package uploads

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/pack/packtest"
	"github.com/edged/edged/pkg/upload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write testdata anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "go test ./mgmt/uploads -update writes it anew")
}

func sound(name string) string {
	return string(packtest.RAMP{Fields: map[string]any{"module_name": name}}.Bytes())
}

// TestEveryRouteForEveryCaller is who may do what, in full. A change of a rule is a
// change of the file, to be read in review.
func TestEveryRouteForEveryCaller(t *testing.T) {
	var text bytes.Buffer
	text.WriteString("# edgeAgent, viewer, other: modules, of which viewer may view. root: of the host. edged: host user in group edged. user: host user without permissions.\n" +
		"# views, updates, others-permissions: host users with the one, the other, none of the two. foreign: another runtime's container. gone: its process has exited.\n")
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "uploads\trule\t%s\n", strings.Join(callers, "\t"))
	for _, route := range (&api{Config: newFixture(t).cfg}).routes() {
		fmt.Fprintf(table, "%s %s\t%s", route.Method, route.Path, route.Rule.Name())
		for _, who := range callers {
			f := newFixture(t)
			var added wire.PackageAdded
			w := f.push("root", "/v2/modules", "module", sound("x"))
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &added))
			await(t, f, added.ActionUID)
			of := added.UID
			if strings.HasPrefix(route.Path, "/v1/actions") {
				of = added.ActionUID
			}
			path := strings.NewReplacer("{uid}", of).Replace(route.Path)
			before := len(f.List().Packages)
			if route.Method == http.MethodPost {
				w = f.push(who, path, "module", sound("y"))
			} else {
				w = f.ask(who, route.Method, path, nil)
			}
			fmt.Fprintf(table, "\t%d", w.Code)
			if w.Code == 403 {
				require.JSONEq(t, `{"error_code":"forbidden","message":"forbidden","description":"forbidden"}`, w.Body.String())
				require.Len(t, f.List().Packages, before)
			}
			f.Close()
		}
		fmt.Fprintln(table)
	}
	require.NoError(t, table.Flush())
	golden(t, "access.golden", text.Bytes())
}

func await(t *testing.T, f *fixture, action string) wire.PackageAction {
	t.Helper()
	var a wire.PackageAction
	require.Eventually(t, func() bool {
		w := f.ask("root", http.MethodGet, "/v1/actions/"+action, nil)
		return w.Code == 200 && json.Unmarshal(w.Body.Bytes(), &a) == nil && a.Status != "running"
	}, 20*time.Second, time.Millisecond)
	return a
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

func TestObjectsAsTheContractHasThem(t *testing.T) {
	f := newFixture(t)
	require.Equal(t, "[]", f.ask("root", http.MethodGet, "/v1/modules", nil).Body.String())
	w := f.push("root", "/v1/modules", "module", string(packtest.RAMP{Fields: map[string]any{
		"module_name": "ReJSON", "version": 10007, "semantic_version": "1.0.7", "operating_systems": []string{"debian12", "ubuntu22"}, "capability_name": "JSON",
		"crdb": map[string]any{"supported_featureset_versions": []int{1}}, "bigstore_version_2_support": true, "compatible_redis_version": "7.2", "command_line_args": "A 1",
	}}.Bytes()))
	require.Equal(t, 200, w.Code, w.Body.String())
	object := w.Body.String()
	var m wire.PackageModule
	require.NoError(t, json.Unmarshal([]byte(object), &m))
	object = strings.NewReplacer(m.Edged.Created, "2026-01-02T03:04:05Z", packtest.Machine(), "x86_64", m.SHA256, "SHA256", fmt.Sprint(m.Edged.Size), "12345").Replace(object)
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, []byte(object), "", "  "))
	golden(t, "object.golden", append(pretty.Bytes(), '\n'))
	require.Equal(t, "["+w.Body.String()+"]", f.ask("viewer", http.MethodGet, "/v1/modules", nil).Body.String())
	one := f.ask("viewer", http.MethodGet, "/v1/modules/"+m.UID, nil)
	require.JSONEq(t, w.Body.String(), one.Body.String())
	require.Equal(t, fmt.Sprint(one.Body.Len()), one.Header().Get("Content-Length"))
	require.Contains(t, f.ask("root", http.MethodGet, "/v1/cluster/module-capabilities", nil).Body.String(), `{"all_capabilities":[{"name":"types","desc":"`)
	require.Equal(t, "{}", f.ask("root", http.MethodDelete, "/v1/modules/"+m.UID, nil).Body.String())
	require.Equal(t, "[]", f.ask("root", http.MethodGet, "/v1/modules", nil).Body.String())
}

func TestErrorsHaveTheirStatusAndBothWords(t *testing.T) {
	f := newFixture(t)
	first := f.push("root", "/v1/modules", "module", sound("x"))
	require.Equal(t, 200, first.Code)
	uid := f.List().Packages[0].UID
	f.used["edged.local/ramp/x:1.2.3"] = true
	deps := string(packtest.RAMP{Fields: map[string]any{"module_name": "d", "dependencies": map[string]any{"d": map[string]any{"url": "https://h.example/", "sha256": strings.Repeat("a", 64)}}}}.Bytes())
	form := "multipart/form-data; boundary=b"
	for name, tc := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code               upload.Code
	}{
		"no multipart":           {"POST", "/v1/modules", sound("y"), nil, 400, upload.NoModule},
		"JSON":                   {"POST", "/v1/modules", "{}", []string{"Content-Type", "application/json"}, 400, upload.NoModule},
		"no boundary":            {"POST", "/v1/modules", "", []string{"Content-Type", "multipart/form-data"}, 400, upload.NoModule},
		"no body":                {"POST", "/v1/modules", "", []string{"Content-Type", form}, 400, upload.NoModule},
		"no part module":         {"POST", "/v1/modules", "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n" + sound("y") + "\r\n--b--\r\n", []string{"Content-Type", form}, 400, upload.NoModule},
		"an empty part":          {"POST", "/v1/modules", "--b\r\nContent-Disposition: form-data; name=\"module\"\r\n\r\n\r\n--b--\r\n", []string{"Content-Type", form}, 400, upload.NoModule},
		"cut off":                {"POST", "/v1/modules", "--b\r\nContent-Disposition: form-data; name=\"module\"\r\n\r\n" + sound("y"), []string{"Content-Type", form}, 400, upload.NoModule},
		"headers without end":    {"POST", "/v1/modules", "--b\r\n" + strings.Repeat("X: y\r\n", 20000), []string{"Content-Type", form}, 400, upload.NoModule},
		"a signature of no form": {"POST", "/v1/modules", "", []string{"Content-Type", form, "X-Edged-Signature", "?"}, 400, "bad_request"},
		"too large, not said":    {"POST", "/v1/modules", "--b\r\nContent-Disposition: form-data; name=\"module\"\r\n\r\n" + strings.Repeat("x", 1<<21), []string{"Content-Type", form}, 413, upload.ModuleTooLarge},
		"v1 has no dependencies": {"POST", "/v1/modules", "--b\r\nContent-Disposition: form-data; name=\"module\"\r\n\r\n" + deps + "\r\n--b--\r\n", []string{"Content-Type", form}, 400, upload.DependenciesUnsupported},
		"there already":          {"POST", "/v1/modules", "--b\r\nContent-Disposition: form-data; name=\"module\"\r\n\r\n" + sound("x") + "\r\n--b--\r\n", []string{"Content-Type", form}, 400, upload.ModuleExists},
		"there already, v2":      {"POST", "/v2/modules", "--b\r\nContent-Disposition: form-data; name=\"module\"\r\n\r\n" + sound("x") + "\r\n--b--\r\n", []string{"Content-Type", form}, 400, upload.ModuleExists},
		"two packages":           {"POST", "/v1/modules", "--b\r\nContent-Disposition: form-data; name=\"module\"\r\n\r\n" + sound("y") + "\r\n--b\r\nContent-Disposition: form-data; name=\"module\"\r\n\r\n" + sound("z") + "\r\n--b--\r\n", []string{"Content-Type", form}, 400, upload.InvalidModule},
		"not there":              {"GET", "/v1/modules/none", "", nil, 404, upload.ModuleNotFound},
		"not there, removed":     {"DELETE", "/v1/modules/none", "", nil, 404, upload.ModuleNotFound},
		"not there, v2":          {"DELETE", "/v2/modules/none", "", nil, 404, upload.ModuleNotFound},
		"no action":              {"GET", "/v1/actions/none", "", nil, 404, upload.ActionNotFound},
		"in use":                 {"DELETE", "/v1/modules/" + uid, "", nil, 406, upload.ModuleInUse},
		"in use, v2":             {"DELETE", "/v2/modules/" + uid, "", nil, 406, upload.ModuleInUse},
		"a database's":           {"POST", "/v1/modules/config/bdb/1", "", nil, 404, "not_found"},
		"no version":             {"GET", "/v3/modules", "", nil, 404, "not_found"},
		"a slash too many":       {"GET", "/v1//modules", "", nil, 404, "not_found"},
		"another method":         {"PUT", "/v1/modules", "", nil, 405, "method_not_allowed"},
		"another method, v2":     {"GET", "/v2/modules", "", nil, 405, "method_not_allowed"},
	} {
		w := f.ask("root", tc.method, tc.path, strings.NewReader(tc.body), tc.headers...)
		require.Equal(t, tc.status, w.Code, "%s: %s", name, w.Body.String())
		var e map[string]string
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e), name)
		require.Equal(t, string(tc.code), e["error_code"], name)
		require.NotEmpty(t, e["message"], name)
		require.Equal(t, e["message"], e["description"], name)
		require.Len(t, e, 3, name)
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	}
	require.Equal(t, "GET, POST", f.ask("root", "PUT", "/v1/modules", nil).Header().Get("Allow"))
	require.Len(t, f.List().Packages, 1)
}

// unread is a body that must not be looked at.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestRefusalsComeBeforeTheBodyIsRead(t *testing.T) {
	f := newFixture(t)
	form := "multipart/form-data; boundary=b"
	for who, status := range map[string]int{"user": 403, "viewer": 403, "foreign": 403, "gone": 403} {
		require.Equal(t, status, f.ask(who, "POST", "/v1/modules", unread{t}, "Content-Type", form).Code, who)
	}
	// Who does not wait for leave to send would not see an answer before all is sent; who waits sends nothing.
	require.Equal(t, 400, f.ask("root", "POST", "/v1/modules", unread{t}, "Content-Type", "text/plain", "Expect", "100-continue").Code)
	sent := strings.NewReader("all of it")
	require.Equal(t, 400, f.ask("root", "POST", "/v1/modules", sent, "Content-Type", "text/plain").Code)
	require.Zero(t, sent.Len())
	require.Equal(t, 404, f.ask("user", "POST", "/v1/none", unread{t}, "Content-Type", form).Code, "404 comes before 403")
	require.Equal(t, 405, f.ask("user", "PATCH", "/v1/modules", unread{t}, "Content-Type", form).Code)
	f.FreeFloor = 1 << 60
	w := f.ask("root", "POST", "/v1/modules", unread{t}, "Content-Type", form, "Expect", "100-continue")
	require.Equal(t, 507, w.Code, w.Body.String())
	require.Contains(t, w.Body.String(), `"error_code":"insufficient_storage"`)
}

func TestASignatureIsAPartOrAHeader(t *testing.T) {
	f := newFixture(t)
	signer := packtest.NewSigner()
	b := sound("x")
	signature := string(signer.Sign([]byte(b), "counter:1"))
	for i, push := range []func() (int, string){
		func() (int, string) {
			w := f.push("root", "/v1/modules", "module.minisig", signature, "module", b)
			return w.Code, w.Body.String()
		},
		func() (int, string) {
			w := f.push("root", "/v1/modules", "other", "x", "module", b, "module.minisig", signature)
			return w.Code, w.Body.String()
		},
		func() (int, string) {
			var body strings.Builder
			body.WriteString("--b\r\nContent-Disposition: form-data; name=\"module\"\r\n\r\n" + b + "\r\n--b--\r\n")
			w := f.ask("root", "POST", "/v1/modules", strings.NewReader(body.String()), "Content-Type", "multipart/form-data; boundary=b",
				"X-Edged-Signature", base64.StdEncoding.EncodeToString([]byte(signature)))
			return w.Code, w.Body.String()
		},
	} {
		status, text := push() // nobody trusts the key here, and nobody asks
		require.Equal(t, 200, status, "%d: %s", i, text)
		require.NoError(t, f.Delete(t.Context(), f.List().Packages[0].UID))
	}
}

func TestActionsOfTheSecondVersion(t *testing.T) {
	f := newFixture(t)
	var added wire.PackageAdded
	w := f.push("root", "/v2/modules", "module", sound("x"))
	require.Equal(t, 200, w.Code)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &added))
	require.Equal(t, "x", added.ModuleName)
	a := await(t, f, added.ActionUID)
	require.Equal(t, wire.PackageAction{
		ActionUID: added.ActionUID, TaskID: added.ActionUID, Name: "add_module", NodeUID: "1", ObjectName: "module:" + added.UID,
		Progress: "100", Status: "completed", CreationTime: a.CreationTime,
	}, a)
	w = f.ask("root", http.MethodDelete, "/v2/modules/"+added.UID, nil)
	var removed wire.PackageRemoved
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &removed))
	require.Equal(t, "completed", await(t, f, removed.ActionUID).Status)
	require.Empty(t, f.List().Packages)
	deps := string(packtest.RAMP{Fields: map[string]any{"dependencies": map[string]any{"d": map[string]any{"url": "https://h.example/", "sha256": strings.Repeat("a", 64)}}}}.Bytes())
	w = f.push("root", "/v2/modules", "module", deps)
	require.Equal(t, 200, w.Code, "what becomes of dependencies shows in the action")
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &added))
	a = await(t, f, added.ActionUID)
	require.Equal(t, []string{"failed", "dependency_not_found"}, []string{a.Status, a.ErrorCode})
	require.NotEmpty(t, a.ErrorMessage)
}
