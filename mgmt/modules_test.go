package mgmt

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/support"
)

func TestEachOperationAsksForWhatItSays(t *testing.T) {
	for _, tc := range []struct {
		who, method, path, body string
		status                  int
		asked                   string
	}{
		{"edgeAgent", "POST", "/modules" + v, body("new", ""), 201, "create new"},
		{"edgeAgent", "POST", "/modules/" + v, body("$edgeHub", ""), 201, "create edgeHub"},
		{"edgeAgent", "PUT", "/modules/target" + v, body("target", ""), 200, "update target start=false self=false"},
		{"edgeAgent", "PUT", "/modules/target" + v + "&start=true", body("target", ""), 200, "update target start=true self=false"},
		{"edgeAgent", "PUT", "/modules/target" + v + "&start=false", body("target", ""), 200, "update target start=false self=false"},
		{"edgeAgent", "PUT", "/modules/$edgeAgent" + v, body("edgeAgent", ""), 200, "update edgeAgent start=false self=true"},
		{"edgeAgent", "PUT", "/modules/%24target" + v, body("$target", ""), 200, "update target start=false self=false"},
		{"edgeAgent", "DELETE", "/modules/target" + v, "", 204, "delete target"},
		{"edgeAgent", "POST", "/modules/absent/prepareupdate" + v, body("absent", ""), 204, "prepare absent"},
		{"root", "POST", "/modules/$absent/check" + v, body("absent", ""), 204, "check absent"},
		{"other", "POST", "/modules/target/start" + v, "", 204, "start target"},
		{"other", "POST", "/modules/target/StArT" + v, "", 204, "start target"},
		{"other", "POST", "/modules/%24target/restart" + v, "", 204, "restart target"},
		{"other", "POST", "/modules/target/stop" + v, "", 204, "stop byHost=false target"},
		{"user", "POST", "/modules/target/stop" + v, "", 204, "stop byHost=true target"},
		{"root", "POST", "/modules/edgeAgent/stop" + v, "", 204, "stop byHost=true edgeAgent"},
		{"edgeAgent", "POST", "/modules/edgeAgent/stop" + v, "", 204, "stop byHost=false edgeAgent"},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			f := newFixture(t)
			w := f.ask(tc.who, tc.method, tc.path, tc.body)
			require.Equal(t, tc.status, w.Code, w.Body.String())
			require.Equal(t, []string{tc.asked}, f.sup.asked)
			if w.Code == 204 {
				require.Zero(t, w.Body.Len())
				return
			}
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			require.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
		})
	}
}

// flushed notes how much was written when what is buffered was sent, and calls then.
type flushed struct {
	*httptest.ResponseRecorder
	then func(body string)
}

func (f flushed) Flush() { f.then(f.Body.String()) }

func TestASelfUpdatesSwitchMayBeginOnceTheAnswerIsSent(t *testing.T) {
	f := newFixture(t)
	closed := func() bool {
		select {
		case <-f.sup.answered:
			return true
		default:
			return false
		}
	}
	sent := ""
	r := httptest.NewRequest("PUT", "/modules/edgeAgent"+v, strings.NewReader(body("edgeAgent", "")))
	r.Header.Set("Content-Type", "application/json")
	w := flushed{httptest.NewRecorder(), func(body string) {
		sent = body
		require.False(t, closed())
	}}
	f.serve("edgeAgent").ServeHTTP(w, r)
	require.Equal(t, 200, w.Code, w.Body.String())
	require.Contains(t, sent, `"edgeAgent"`)
	require.True(t, closed())

	f.sup.fail = fmt.Errorf("no: %w", errdefs.ErrInvalidArgument)
	require.Equal(t, 400, f.ask("edgeAgent", "PUT", "/modules/edgeAgent"+v, body("edgeAgent", "")).Code)
	require.True(t, closed())
}

func TestWhatIsAskedOfAnAbsentModuleIsNotFound(t *testing.T) {
	for _, op := range []string{"GET ", "PUT ", "DELETE ", "POST /start", "POST /stop", "POST /restart", "GET /logs"} {
		method, action, _ := strings.Cut(op, " ")
		f := newFixture(t)
		w := f.ask("edgeAgent", method, "/modules/absent"+action+v, body("absent", ""))
		require.Equal(t, 404, w.Code, op)
		require.Equal(t, `module "absent" not found`, message(t, w))
		require.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
	}
}

func TestASecondCreateIsAConflictUnderEitherName(t *testing.T) {
	for _, name := range []string{"target", "$target"} {
		w := newFixture(t).ask("edgeAgent", "POST", "/modules"+v, body(name, ""))
		require.Equal(t, 409, w.Code)
		require.Equal(t, `module "target" already exists`, message(t, w))
	}
}

func TestASpecThatIsWrongIsNamed(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		status     int
		message    string
	}{
		{"nothing", "", 400, "missing request body"},
		{"no JSON", "{", 422, "request body is malformed"},
		{"a list", "[]", 422, "request body is malformed"},
		{"null", "null", 400, "module name is empty"},
		{"no name", `{"type":"docker","config":{"settings":{"image":"i"}}}`, 400, "module name is empty"},
		{"a name that is none", body("a/b", ""), 400, "has a slash"},
		{"no type", `{"name":"new","config":{"settings":{"image":"i"}}}`, 400, `invalid module type ""`},
		{"another type", `{"name":"new","type":"podman","config":{"settings":{"image":"i"}}}`, 400, `invalid module type "podman"`},
		{"no config", `{"name":"new","type":"docker"}`, 400, "settings.image is empty"},
		{"no image", `{"name":"new","type":"docker","config":{"settings":{}}}`, 400, "settings.image is empty"},
		{"settings as a text", `{"name":"new","type":"docker","config":{"settings":"{}"}}`, 422, "config.settings: a string is not what belongs here"},
		{"the name as a number", `{"name":1,"type":"docker"}`, 422, "name: a number is not what belongs here"},
		{"a policy", body("new", `,"imagePullPolicy":"always"`), 400, `invalid imagePullPolicy "always"`},
		{"the key twice", `{"name":"new","type":"docker","config":{"settings":{"image":"i"},"env":[{"key":"A"},{"key":"A"}]}}`, 400, "duplicate env var key: A"},
		{"options as a number", `{"name":"new","type":"docker","config":{"settings":{"image":"i","createOptions":5}}}`, 400, "invalid settings.createOptions"},
		{"options as a list", `{"name":"new","type":"docker","config":{"settings":{"image":"i","createOptions":[]}}}`, 400, "invalid settings.createOptions"},
		{"options as another text", `{"name":"new","type":"docker","config":{"settings":{"image":"i","createOptions":"{"}}}`, 400, "invalid settings.createOptions"},
		{"too large", body("new", `,"x":"`+strings.Repeat("x", 1<<20)+`"`), 413, "larger than 1048576 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			w := f.ask("edgeAgent", "POST", "/modules"+v, tc.body)
			require.Equal(t, tc.status, w.Code, w.Body.String())
			require.Contains(t, message(t, w), tc.message)
			require.Empty(t, f.sup.asked)
		})
	}
}

func TestANameInTheBodyMustBeThatOfThePath(t *testing.T) {
	for _, op := range []string{"PUT /modules/target", "POST /modules/target/prepareupdate"} {
		method, path, _ := strings.Cut(op, " ")
		for name, want := range map[string]bool{"target": true, "$target": true, "Target": false, "other": false} {
			f := newFixture(t)
			w := f.ask("edgeAgent", method, path+v, body(name, ""))
			require.Equal(t, want, w.Code < 300, "%s %s: %s", op, name, w.Body)
			if !want {
				require.Equal(t, 400, w.Code)
				require.Contains(t, message(t, w), "module name in spec does not match URI")
				require.Empty(t, f.sup.asked)
			}
		}
	}
}

func TestStartIsTrueOrFalse(t *testing.T) {
	for _, start := range []string{"maybe", "1", "True", ""} {
		f := newFixture(t)
		w := f.ask("edgeAgent", "PUT", "/modules/target"+v+"&start="+start, body("target", ""))
		require.Equal(t, 400, w.Code)
		require.Equal(t, "invalid parameter: start", message(t, w))
		require.Empty(t, f.sup.asked)
	}
}

func TestAnotherContentTypeIsRefused(t *testing.T) {
	for _, op := range []string{"POST /modules", "PUT /modules/target", "POST /modules/target/prepareupdate"} {
		method, path, _ := strings.Cut(op, " ")
		w := newFixture(t).ask("edgeAgent", method, path+v, body("target", ""), "Content-Type", "text/plain")
		require.Equal(t, 415, w.Code, op)
		require.Equal(t, 403, newFixture(t).ask("root", method, path+v, body("target", ""), "Content-Type", "text/plain").Code, "who comes first")
	}
}

func TestPullPolicyIsReadInAnyCase(t *testing.T) {
	for given, want := range map[string]module.PullPolicy{"": module.PullOnCreate, "On-Create": module.PullOnCreate, "NEVER": module.PullNever} {
		f := newFixture(t)
		require.Equal(t, 201, f.ask("edgeAgent", "POST", "/modules"+v, body("new", fmt.Sprintf(`,"imagePullPolicy":%q`, given))).Code)
		require.Equal(t, want, f.sup.spec.PullPolicy)
	}
}

func TestNamesOfAnyScript(t *testing.T) {
	f := newFixture(t)
	f.sup.states["модуль.1 x"] = stateOf(specOf("модуль.1 x"))
	w := f.ask("root", "GET", "/modules/%D0%BC%D0%BE%D0%B4%D1%83%D0%BB%D1%8C.1%20x"+v, "")
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), `"id":"модуль.1 x","name":"модуль.1 x"`)
}

func TestAWholeSpecReachesTheDomain(t *testing.T) {
	f := newFixture(t)
	w := f.ask("edgeAgent", "POST", "/modules"+v, `{"name":"$new","type":"docker","imagePullPolicy":"Never","unknown":1,"config":{"env":[{"key":"A","value":"1"}],"settings":{
		"image":"r.example/i:1","imageHash":"sha256:h","createOptions":{"HostConfig":{"Privileged":null}},"management":true,"digest":null,
		"auth":{"username":"u","password":"hunter2","email":"e","serveraddress":"r.example"}}}}`)
	require.Equal(t, 201, w.Code, w.Body.String())
	require.Equal(t, module.Spec{
		Name: "new", Type: "docker", Image: "r.example/i:1", ImageHash: "sha256:h", CreateOptions: json.RawMessage(`{"HostConfig":{}}`), Management: true,
		Env: []module.EnvVar{{Key: "A", Value: "1"}}, PullPolicy: module.PullNever,
		Auth: &module.Auth{Username: "u", Password: "hunter2", Email: "e", ServerAddress: "r.example"},
	}, f.sup.spec)
	f.ask("edgeAgent", "POST", "/modules"+v, `{"name":"new","type":"docker","config":{"env":null,"settings":{"image":"i","auth":{},"createOptions":null,"imageHash":null}}}`)
	require.Nil(t, f.sup.spec.Auth, "an auth of nothing is none")
	require.JSONEq(t, `{}`, string(f.sup.spec.CreateOptions))
}

func TestErrorsOfTheDomainHaveTheirStatus(t *testing.T) {
	for class, want := range map[error]int{
		errdefs.ErrInvalidArgument: 400, errdefs.ErrNotFound: 404, errdefs.ErrConflict: 409, errdefs.ErrFailedPrecondition: 409, errdefs.ErrUnavailable: 503,
		errdefs.ErrInternal: 500, fmt.Errorf("no class"): 500,
	} {
		for _, op := range []string{"POST /modules", "PUT /modules/target", "POST /modules/target/prepareupdate", "DELETE /modules/target", "POST /modules/target/start", "POST /modules/target/stop", "POST /modules/target/restart"} {
			method, path, _ := strings.Cut(op, " ")
			if want == 404 && path == "/modules" {
				continue // what is made names nothing that could be missing: the contract has no such answer
			}
			f := newFixture(t)
			f.sup.fail = fmt.Errorf("cannot do it: because: %w", class)
			name := "target"
			if path == "/modules" {
				name = "new"
			}
			w := f.ask("edgeAgent", method, path+v, body(name, ""))
			require.Equal(t, want, w.Code, op)
			require.Contains(t, message(t, w), "cannot do it: because")
		}
	}
}

func TestWhoSeesEnvironments(t *testing.T) {
	for who, sees := range map[string]bool{"edgeAgent": true, "root": true, "edged": true, "user": false, "target": false, "other": false} {
		f := newFixture(t)
		for _, path := range []string{"/modules/target", "/modules"} {
			text := f.ask(who, "GET", path+v, "").Body.String()
			require.Equal(t, sees, strings.Contains(text, "secret-1"), "%s %s: createOptions.Env", who, path)
			require.Equal(t, sees, strings.Contains(text, "secret-2"), "%s %s: env", who, path)
			require.NotContains(t, text, "hunter2")
			require.Contains(t, text, `"Tty":false`, "the rest of the options is shown to everybody")
			if !sees {
				require.Contains(t, text, `"env":[]`)
			}
		}
	}
}

func TestNoAnswerHasAPassword(t *testing.T) {
	secret := `{"name":%q,"type":"docker","config":{"settings":{"image":"i","auth":{"username":"u","password":"hunter2","serveraddress":"r.example"}}}}`
	for _, op := range []string{"POST /modules new", "PUT /modules/target target", "GET /modules/target ", "GET /modules "} {
		parts := strings.Split(op, " ")
		w := newFixture(t).ask("edgeAgent", parts[0], parts[1]+v, fmt.Sprintf(secret, parts[2]))
		require.Less(t, w.Code, 300)
		require.NotContains(t, w.Body.String(), "hunter2")
		require.NotContains(t, w.Body.String(), "password")
		require.Contains(t, w.Body.String(), `"serveraddress":"r.example"`)
	}
}

func TestTheAnswerHasTheContractsShape(t *testing.T) {
	f := newFixture(t)
	st := *f.sup.states["target"]
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	st.Status = module.Status{Runtime: module.Running, Description: "running", StartTime: at, Exit: &module.Exit{Time: at.Add(-time.Hour), Code: 137}}
	f.sup.states["target"] = &st
	w := f.ask("edgeAgent", "GET", "/modules/target"+v, "")
	require.JSONEq(t, `{"id":"target","name":"target","type":"docker","config":{"settings":{"image":"image","createOptions":{"Env":["OPTION=secret-1"],"Tty":false},
		"auth":{"username":"user","serveraddress":"r.example"}},"env":[{"key":"B","value":"secret-2"},{"key":"A","value":""}]},
		"status":{"startTime":"2026-01-02T03:04:05.678901234Z","exitStatus":{"exitTime":"2026-01-02T02:04:05.678901234Z","statusCode":"137"},
		"runtimeStatus":{"status":"running","description":"running"}}}`, w.Body.String())
	w = f.ask("edgeAgent", "GET", "/modules"+v, "")
	var list wire.ModuleList
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &list))
	require.Len(t, list.Modules, 2)
	require.Equal(t, []wire.EnvVar{{Key: "B", Value: "secret-2"}, {Key: "A", Value: ""}}, list.Modules[1].Config.Env)
	f.sup.states = nil
	require.JSONEq(t, `{"modules":[]}`, f.ask("edgeAgent", "GET", "/modules"+v, "").Body.String())
}

func TestViewsFollowTheState(t *testing.T) {
	views := NewViews()
	one, two := stateOf(specOf("a")), stateOf(specOf("b"))
	first := views.List([]*module.State{one, two}, true)
	require.Contains(t, string(first), "secret-2")
	require.NotContains(t, string(views.List([]*module.State{one, two}, false)), "secret-")
	changed := *one
	changed.Status.Runtime = module.Running
	next := string(views.List([]*module.State{&changed, two}, true))
	require.Contains(t, next, `"status":"running"`)
	require.Contains(t, string(views.One(&changed, true)), `"status":"running"`)
	require.Equal(t, `{"modules":[]}`, string(views.List(nil, true)))
	require.Equal(t, `{"modules":[`+string(views.One(two, false))+`]}`, string(views.List([]*module.State{two}, false)))
}

func TestSystemInfoAndMetrics(t *testing.T) {
	f := newFixture(t)
	require.JSONEq(t, `{"osType":"Linux","architecture":"x86_64","cpus":0,"version":"","virtualized":"no","provisioning":{"type":"","dynamicReprovisioning":false,"alwaysReprovisionOnStartup":false}}`,
		f.ask("user", "GET", "/systeminfo"+v, "").Body.String())
	require.JSONEq(t, `{"networks":[]}`, f.ask("user", "GET", "/networks"+v, "").Body.String())
	require.Equal(t, 404, f.ask("user", "GET", "/networks?api-version=2019-01-30", "").Code, "older versions do not have it")
	w := f.ask("user", "GET", "/metrics", "")
	require.Equal(t, "edged_modules 2\n", w.Body.String())
	require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", w.Header().Get("Content-Type"))
	w = f.ask("user", "POST", "/metrics", "")
	require.Equal(t, 405, w.Code)
	require.Equal(t, "GET", w.Header().Get("Allow"))
	require.Equal(t, 400, f.ask("user", "GET", "/systeminfo", "").Code, "api-version belongs to the contract")
}

func TestResources(t *testing.T) {
	f := newFixture(t)
	w := f.ask("target", "GET", "/systeminfo/resources"+v, "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, fmt.Sprint(w.Body.Len()), w.Header().Get("Content-Length"))
	require.Contains(t, w.Body.String(), `"docker_stats":"[]"`)
	require.Equal(t, 404, f.ask("target", "GET", "/systeminfo/resources?api-version=2019-10-22", "").Code)
}

func TestSupportBundle(t *testing.T) {
	f := newFixture(t)
	w := f.ask("edged", "GET", "/systeminfo/supportbundle"+v+"&since=100&until=200&edge_runtime_only=true&iothub_hostname=h", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "application/zip", w.Header().Get("Content-Type"))
	require.Empty(t, w.Header().Get("Content-Encoding"), "the archive is sent as it is")
	require.Equal(t, "PK", w.Body.String())
	require.Equal(t, support.Options{Since: time.Unix(100, 0), Until: time.Unix(200, 0), RuntimeOnly: true}, f.support)
	for _, query := range []string{"&since=never", "&until=x", "&edge_runtime_only=1"} {
		require.Equal(t, 400, f.ask("edged", "GET", "/systeminfo/supportbundle"+v+query, "").Code, query)
	}
	require.Equal(t, 404, f.ask("edged", "GET", "/systeminfo/supportbundle?api-version=2019-11-05", "").Code)
}

func TestReprovision(t *testing.T) {
	f := newFixture(t)
	require.Equal(t, 204, f.ask("edgeAgent", "POST", "/device/reprovision"+v, "").Code)
	require.Equal(t, 403, f.ask("root", "POST", "/device/reprovision"+v, "").Code)
	require.Equal(t, 1, f.reprovisioned)
}

func TestModulesOfEdgedsOwnAreOnTheListsOfOperatorsThatAsk(t *testing.T) {
	f := newFixture(t)
	for who, sees := range map[string]bool{"root": true, "edged": true, "edgeAgent": true, "target": false, "user": false} {
		w := f.ask(who, http.MethodGet, "/modules?api-version=2022-08-03&system=true", "")
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, sees, strings.Contains(w.Body.String(), module.OSGiHost), who)
		require.NotContains(t, f.ask(who, http.MethodGet, "/modules?api-version=2022-08-03", "").Body.String(), module.OSGiHost)
	}
}
