package manifest_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
)

func lookup(name string) (string, bool) {
	v, ok := map[string]string{"PLANT_PASSWORD": "p${USER_NAME}\"", "USER_NAME": "everybody"}[name]
	return v, ok
}

func TestAWholeManifestIsWhatTheAPITakes(t *testing.T) {
	text, err := os.ReadFile("testdata/whole.json")
	require.NoError(t, err)
	got, err := manifest.Parse(text, lookup)
	require.NoError(t, err)
	require.Equal(t, deployment.Revision(text), got.Revision)
	require.Len(t, got.Revision, 64)
	require.Equal(t, []manifest.Module{
		{
			Spec: wire.ModuleSpec{Name: "edgeHub", Type: "docker", ImagePullPolicy: "on-create", Config: wire.Config{
				Settings: wire.Settings{
					Image: "registry.example/hub:1.5", Auth: &wire.Auth{Username: "everybody", Password: "open", ServerAddress: "https://registry.example/"},
					CreateOptions: json.RawMessage(`{"HostConfig":{"NetworkMode":"host","RestartPolicy":{"Name":"always"}}}`),
				},
				Env: []wire.EnvVar{},
			}},
			Run: true, KeepUp: true, Policy: "always", Identity: "$edgeHub",
		},
		{
			Spec: wire.ModuleSpec{Name: "lamp", Type: "containerd", ImagePullPolicy: "on-create", Config: wire.Config{
				Settings: wire.Settings{
					Image: "lamp", Management: true,
					CreateOptions: json.RawMessage(`{"Cmd":["blink"],"hostconfig":{"RestartPolicy":{"Name":"unless-stopped"}}}`),
				},
				Env: []wire.EnvVar{},
			}},
			Run: true, KeepUp: true, Policy: "unless-stopped", Identity: "$lamp", Order: 1,
		},
		{
			Spec: wire.ModuleSpec{Name: "press", Type: "docker", ImagePullPolicy: "never", Config: wire.Config{
				Settings: wire.Settings{
					Image: "registry.example/plant/press:2", Auth: &wire.Auth{Username: "reader", Password: "p${USER_NAME}\"", ServerAddress: "registry.example/plant"},
					CreateOptions: json.RawMessage(`{"HostConfig":{"Memory":1000000000,"RestartPolicy":{"Name":"no"}}}`),
				},
				Env: []wire.EnvVar{{Key: "SPEED", Value: "2.50"}, {Key: "SAFE", Value: "true"}, {Key: "NOTE", Value: "kept as ${IT} is"}},
			}},
			Policy: "no", Identity: "press", Order: 1,
		},
	}, got.Modules)
	require.Equal(t, []string{
		"modulesContent.$edgeHub: not applied: this agent manages modules, not their twins",
		"modulesContent.$edgeAgent.properties.desired.systemModules.edgeAgent: not applied: the section [agent] of edged's configuration governs it",
	}, got.Notices)
}

// in is a manifest of edgeAgent's desired properties alone, around one module.
func in(module string) string {
	return `{"schemaVersion":"1.0","modules":{"m":` + module + `}}`
}

func TestSecretsOfAModuleAreHandedOn(t *testing.T) {
	got, err := manifest.Parse([]byte(in(`{"settings":{"image":"i","secrets":{"a":{"sealed":"text","odd":1},"b":{"file":"/f","path":"/p","mode":"0440","uid":7},"gone":null}}}`)), lookup)
	require.NoError(t, err)
	uid := uint32(7)
	require.Equal(t, map[string]wire.Secret{"a": {Sealed: "text"}, "b": {File: "/f", Path: "/p", Mode: "0440", UID: &uid}}, got.Modules[0].Spec.Config.Settings.Secrets)
	require.Len(t, got.Notices, 1)
	require.Contains(t, got.Notices[0], "secrets.a.odd")
	for _, bad := range []string{`[]`, `{"a":1}`, `{"a":{"file":1}}`, `{"a":{"sealed":true}}`, `{"a":{"uid":-1}}`} {
		_, err := manifest.Parse([]byte(in(`{"settings":{"image":"i","secrets":`+bad+`}}`)), lookup)
		require.ErrorContains(t, err, "settings.secrets", bad)
	}
}

func TestDesiredPropertiesAloneAreAManifestToo(t *testing.T) {
	for _, text := range []string{
		in(`{"settings":{"image":"i"}}`),
		"\xef\xbb\xbf" + in(`{"settings":{"image":"i"}}`),
		`{"modulesContent":{"$edgeAgent":{"properties":{"desired":` + in(`{"settings":{"image":"i"}}`) + `}}}}`,
	} {
		got, err := manifest.Parse([]byte(text), lookup)
		require.NoError(t, err)
		require.Equal(t, []manifest.Module{{
			Spec: wire.ModuleSpec{Name: "m", Type: "docker", ImagePullPolicy: "on-create", Config: wire.Config{
				Settings: wire.Settings{Image: "i", CreateOptions: json.RawMessage(`{"HostConfig":{"RestartPolicy":{"Name":"always"}}}`)},
				Env:      []wire.EnvVar{},
			}},
			Run: true, KeepUp: true, Policy: "always", Identity: "m", Order: math.MaxUint32,
		}}, got.Modules)
	}
}

func TestNoModulesIsAManifest(t *testing.T) {
	got, err := manifest.Parse([]byte(`{"schemaVersion":"1.1"}`), lookup)
	require.NoError(t, err)
	require.Empty(t, got.Modules)
}

func TestWhatHasNoEffectIsSaid(t *testing.T) {
	got, err := manifest.Parse([]byte(`{"schemaVersion":"1.1","$version":3,"extra":1,"modules":{"m":{"restartpolicy":"never","settings":{"image":"i","img":1},"env":{"A":{"value":"","why":1}}}}}`), lookup)
	require.NoError(t, err)
	require.Equal(t, []string{
		"modules.m.env.A.why: is not known and has no effect",
		"modules.m.settings.img: is not known and has no effect",
		"modules.m.restartpolicy: is not known and has no effect",
		"extra: is not known and has no effect",
	}, got.Notices)
}

func TestAModuleThatChoosesItsControlGroupIsSaid(t *testing.T) {
	for host, want := range map[string]int{
		`{"Privileged":true,"CgroupnsMode":"host"}`:    1,
		`{"privileged":true,"cgroupnsmode":"host"}`:    1,
		`{"Privileged":true}`:                          0,
		`{"Privileged":true,"CgroupnsMode":"private"}`: 0,
		`{"Privileged":false,"CgroupnsMode":"host"}`:   0,
		`{"CgroupnsMode":"host"}`:                      0,
		`null`:                                         0,
	} {
		for _, options := range []string{`{"HostConfig":` + host + `}`, strconv.Quote(`{"HostConfig":` + host + `}`)} {
			got, err := manifest.Parse([]byte(in(`{"settings":{"image":"i","createOptions":`+options+`}}`)), lookup)
			require.NoError(t, err)
			require.Len(t, got.Notices, want, options)
			if want > 0 {
				require.Contains(t, got.Notices[0], `modules.m.settings.createOptions: HostConfig.Privileged with HostConfig.CgroupnsMode "host"`)
			}
		}
	}
}

func TestRestartPolicyOfTheManifestIsThatOfTheContainer(t *testing.T) {
	for _, tc := range []struct {
		policy, options, want string
		keepUp                bool
	}{
		{``, `{}`, `{"HostConfig":{"RestartPolicy":{"Name":"always"}}}`, true},
		{`always`, `{}`, `{"HostConfig":{"RestartPolicy":{"Name":"always"}}}`, true},
		{`Never`, `{}`, `{"HostConfig":{"RestartPolicy":{"Name":"no"}}}`, false},
		{`on-failure`, `{}`, `{"HostConfig":{"RestartPolicy":{"Name":"on-failure"}}}`, false},
		{`on-unhealthy`, `{}`, `{"HostConfig":{"RestartPolicy":{"Name":"on-unhealthy"}}}`, true},
		{``, `{"HostConfig":{"RestartPolicy":{"Name":"no"}}}`, `{"HostConfig":{"RestartPolicy":{"Name":"no"}}}`, false},
		{`on-failure`, `{"HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3}}}`, `{"HostConfig":{"RestartPolicy":{"MaximumRetryCount":3,"Name":"on-failure"}}}`, false},
		{`always`, `{"HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3}}}`, `{"HostConfig":{"RestartPolicy":{"Name":"always"}}}`, true},
		{`always`, `{"hostConfig":{"restartPolicy":{"name":"no"},"Memory":123456789012345678}}`, `{"hostConfig":{"Memory":123456789012345678,"restartPolicy":{"name":"always"}}}`, true},
		{`never`, `{"HostConfig":null}`, `{"HostConfig":{"RestartPolicy":{"Name":"no"}}}`, false},
	} {
		policy := ""
		if tc.policy != "" {
			policy = fmt.Sprintf(`"restartPolicy":%q,`, tc.policy)
		}
		for _, options := range []string{tc.options, string(must(json.Marshal(tc.options)))} {
			got, err := manifest.Parse([]byte(in(`{`+policy+`"settings":{"image":"i","createOptions":`+options+`}}`)), lookup)
			require.NoError(t, err)
			require.Equal(t, tc.want, string(got.Modules[0].Spec.Config.Settings.CreateOptions))
			require.Equal(t, tc.keepUp, got.Modules[0].KeepUp, tc.want)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestCredentialsAreThoseOfTheImagesRegistry(t *testing.T) {
	const registries = `"runtime":{"settings":{"registryCredentials":{
		"hub":{"address":"docker.io","username":"hub","password":"1"},
		"local":{"address":"localhost:5000","username":"local","password":"2"},
		"one":{"address":"registry.example","username":"one","password":"3"},
		"two":{"address":"registry.example/two","username":"two","password":"4"}}}}`
	for image, want := range map[string]string{
		"busybox": "hub", "docker.io/a/b:1": "hub", "localhost:5000/x": "local", "localhost/x": "", "registry.example/x": "one",
		"registry.example/two/x": "two", "registry.example/twox": "one", "registry.example.evil/x": "", "registry.example:444/x": "",
	} {
		got, err := manifest.Parse([]byte(`{"schemaVersion":"1.1",`+registries+`,"modules":{"m":{"settings":{"image":"`+image+`"}}}}`), lookup)
		require.NoError(t, err)
		auth := got.Modules[0].Spec.Config.Settings.Auth
		if want == "" {
			require.Nil(t, auth, image)
			continue
		}
		require.NotNil(t, auth, image)
		require.Equal(t, want, auth.Username, image)
	}
}

func TestAProblemIsNamedByItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		``:                                     `it is not JSON: line 1, column 0: unexpected end of JSON input`,
		"{\n  \"a\": 1,\n  b\n}":               `it is not JSON: line 3, column 3: invalid character 'b' looking for beginning of object key string`,
		`[]`:                                   `the manifest: is not an object`,
		`{}`:                                   `the manifest: schemaVersion is missing`,
		`{"modulesContent":{}}`:                `modulesContent: $edgeAgent is missing`,
		`{"modulesContent":{"$edgeAgent":{}}}`: `modulesContent.$edgeAgent: properties.desired is missing`,
		`{"modulesContent":{"$edgeAgent":{"properties.desired.modules.m":{}}}}`: `modulesContent.$edgeAgent["properties.desired.modules.m"]: layered deployments are not supported: only a whole properties.desired is`,
		`{"modulesContent":{"$edgeAgent":{"properties.desired":3}}}`:            `modulesContent.$edgeAgent.properties.desired: is not an object`,
		`{"schemaVersion":"2.0"}`:              `schemaVersion: is "2.0"; known are "1.0" and "1.1"`,
		`{"schemaVersion":1.1}`:                `schemaVersion: is not a string`,
		`{"schemaVersion":"1.1","modules":[]}`: `modules: is not an object`,
		`{"schemaVersion":"1.1","modules":{"a":{"settings":{"image":"i"}},"a":{}}}`:                                `modules.a: is given twice`,
		`{"schemaVersion":"1.1","modules":{"edgeAgent":{}}}`:                                                       `modules.edgeAgent: is the agent's own name: the section [agent] of edged's configuration governs it`,
		`{"schemaVersion":"1.1","modules":{"a/b":{}}}`:                                                             `modules["a/b"]: module name "a/b" has a slash or a control character`,
		`{"schemaVersion":"1.1","modules":{"":{}}}`:                                                                `modules[""]: module name is empty`,
		`{"schemaVersion":"1.1","systemModules":{"edgeHub":{"settings":{"image":"i"}}},"modules":{"$edgeHub":{}}}`: `modules.$edgeHub: is the same module as systemModules.edgeHub`,

		in(`3`):            `modules.m: is not an object`,
		in(`{}`):           `modules.m: settings is missing`,
		in(`{"type":"x"}`): `modules.m.type: is "x"; known are docker, containerd`,
		in(`{"type":""}`):  `modules.m.type: is ""; known are docker, containerd`,
		in(`{"type":1}`):   `modules.m.type: is not a string`,
		in(`{"status":"on","settings":{"image":"i"}}`):                                                   `modules.m.status: is "on"; known are running, stopped`,
		in(`{"restartPolicy":"no","settings":{"image":"i"}}`):                                            `modules.m.restartPolicy: is "no"; known are always, never, on-failure, on-unhealthy`,
		in(`{"imagePullPolicy":"always","settings":{"image":"i"}}`):                                      `modules.m.imagePullPolicy: is "always"; known are on-create, never`,
		in(`{"startupOrder":-1,"settings":{"image":"i"}}`):                                               `modules.m.startupOrder: is not a whole number from 0 to 4294967295`,
		in(`{"startupOrder":1.5,"settings":{"image":"i"}}`):                                              `modules.m.startupOrder: is not a whole number from 0 to 4294967295`,
		in(`{"settings":{}}`):                                                                            `modules.m.settings: image is missing`,
		in(`{"settings":{"image":""}}`):                                                                  `modules.m.settings.image: is "": invalid reference format`,
		in(`{"settings":{"image":"A b"}}`):                                                               `modules.m.settings.image: is "A b": invalid reference format`,
		in(`{"settings":{"image":7}}`):                                                                   `modules.m.settings.image: is not a string`,
		in(`{"settings":{"image":"i","management":"yes"}}`):                                              `modules.m.settings.management: is not true or false`,
		in(`{"settings":{"image":"i","createOptions":"{"}}`):                                             `modules.m.settings.createOptions: is not a JSON object: unexpected EOF`,
		in(`{"settings":{"image":"i","createOptions":"{} {}"}}`):                                         `modules.m.settings.createOptions: is not a JSON object: there is text behind the object`,
		in(`{"settings":{"image":"i","createOptions":[]}}`):                                              `modules.m.settings.createOptions: is not a JSON object: json: cannot unmarshal array into Go value of type map[string]interface {}`,
		in(`{"settings":{"image":"i","createOptions":"{}","createOptions02":""}}`):                       `modules.m.settings.createOptions02: continues createOptions, but a piece before it is missing`,
		in(`{"settings":{"image":"i","createOptions":{},"createOptions01":""}}`):                         `modules.m.settings.createOptions01: continues createOptions, which is not a string`,
		in(`{"settings":{"image":"i","createOptions01":""}}`):                                            `modules.m.settings.createOptions01: continues createOptions, which is missing`,
		in(`{"settings":{"image":"i","createOptions":{"HostConfig":1}}}`):                                `modules.m.settings.createOptions: HostConfig is not an object`,
		in(`{"settings":{"image":"i","createOptions":"{\"A\":1,\"hostconfig\":{},\"HostConfig\":{}}"}}`): `modules.m.settings.createOptions: HostConfig is given twice, as "HostConfig" and "hostconfig"`,
		in(`{"settings":{"image":"i"},"env":{"A=B":{"value":""}}}`):                                      `modules.m.env["A=B"]: is no name of an environment variable`,
		in(`{"settings":{"image":"i"},"env":{"A":"x"}}`):                                                 `modules.m.env.A: is not an object`,
		in(`{"settings":{"image":"i"},"env":{"A":{}}}`):                                                  `modules.m.env.A: value is missing`,
		in(`{"settings":{"image":"i"},"env":{"A":{"value":[]}}}`):                                        `modules.m.env.A.value: is not a string, a number, true or false`,
		in(`{"settings":{"image":"i"},"env":{"A":{"value":"\u0000"}}}`):                                  `modules.m.env.A.value: holds a NUL character`,
		in(`{"settings":{"image":"i"},"env":{"A":{"value":"1"},"A":{"value":"2"}}}`):                     `modules.m.env.A: is given twice`,

		`{"schemaVersion":"1.1","runtime":{"settings":{"registryCredentials":{"r":{"address":"a"}}}}}`:                                                                                          `runtime.settings.registryCredentials.r: username is missing; runtime.settings.registryCredentials.r: password is missing`,
		`{"schemaVersion":"1.1","runtime":{"settings":{"registryCredentials":{"r":{"address":"a","username":"u","password":"${NONE}"}}}}}`:                                                      `runtime.settings.registryCredentials.r.password: ${NONE} has no value, in secrets.json or the environment`,
		`{"schemaVersion":"1.1","runtime":{"settings":{"registryCredentials":{"r":{"address":"","username":"u","password":"p"}}}}}`:                                                             `runtime.settings.registryCredentials.r: address is empty`,
		`{"schemaVersion":"1.1","runtime":{"settings":{"registryCredentials":{"r":{"address":"a","username":"u","password":"p"},"s":{"address":"https://a/","username":"u","password":"p"}}}}}`: `runtime.settings.registryCredentials.s: is for the same registry as runtime.settings.registryCredentials.r`,
	} {
		got, err := manifest.Parse([]byte(text), lookup)
		require.Nil(t, got, text)
		require.True(t, errdefs.IsInvalidArgument(err), text)
		require.ErrorContains(t, err, "invalid manifest: "+want, text)
	}
}

func TestAllProblemsAreSaidAtOnceUpToALimit(t *testing.T) {
	_, err := manifest.Parse([]byte(`{"schemaVersion":"3","modules":{"a":{},"b":{"settings":{}}}}`), lookup)
	require.EqualError(t, err, `invalid manifest: schemaVersion: is "3"; known are "1.0" and "1.1"; modules.a: settings is missing; modules.b.settings: image is missing`)
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, `"m%d":{},`, i)
	}
	_, err = manifest.Parse([]byte(`{"schemaVersion":"1.1","modules":{`+strings.TrimSuffix(many.String(), ",")+`}}`), lookup)
	require.ErrorContains(t, err, "and 80 more")
}

func TestNoErrorHoldsASecret(t *testing.T) {
	const secret = "hunter2"
	_, err := manifest.Parse([]byte(`{"schemaVersion":"x","runtime":{"settings":{"registryCredentials":{"r":{"address":"${S}","username":"${S}","password":"${S}","x":1},"s":{"address":"${S}","username":"${S}","password":"${S}"}}}}}`),
		func(string) (string, bool) { return secret, true })
	require.Error(t, err)
	require.NotContains(t, err.Error(), secret)
	for _, text := range []string{`{"A":["hunter2"]}`, `{"A":"hunter2"`, `"hunter2"`} {
		_, err := manifest.ParseSecrets([]byte(text))
		require.True(t, errdefs.IsInvalidArgument(err))
		require.NotContains(t, err.Error(), secret)
	}
}

func TestSecretsAreAnObjectOfStrings(t *testing.T) {
	got, err := manifest.ParseSecrets([]byte(`{"A":"1","B":""}`))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"A": "1", "B": ""}, got)
}

func TestAHugeManifestIsRefusedUnread(t *testing.T) {
	_, err := manifest.Parse(make([]byte, manifest.MaxSize+1), lookup)
	require.ErrorContains(t, err, "larger than 1048576 bytes")
}

func TestYAMLIsReadByTheSameRules(t *testing.T) {
	got, err := manifest.Parse([]byte(`# a comment
schemaVersion: 1.1
systemModules:
  edgeHub:
    startupOrder: 0x0
    settings: {image: hub}
modules:
  m: &m
    env:
      RATE: {value: 2.50}
      ON: {value: yes}
      SINCE: {value: 2024-01-02}
    settings:
      image: i
      createOptions:
        HostConfig: {Memory: 123456789012345678}
  n: *m
`), lookup)
	require.NoError(t, err)
	require.Len(t, got.Modules, 3)
	require.Equal(t, "$edgeHub", got.Modules[0].Identity)
	require.Equal(t, []wire.EnvVar{{Key: "RATE", Value: "2.50"}, {Key: "ON", Value: "yes"}, {Key: "SINCE", Value: "2024-01-02"}}, got.Modules[1].Spec.Config.Env)
	require.JSONEq(t, `{"HostConfig":{"Memory":123456789012345678,"RestartPolicy":{"Name":"always"}}}`, string(got.Modules[1].Spec.Config.Settings.CreateOptions))
	require.Equal(t, got.Modules[1].Spec.Config, got.Modules[2].Spec.Config, "an alias")
}

func TestAProblemInYAMLIsNamedByItsLineToo(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i < 'i'; i++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	for text, want := range map[string]string{
		"schemaVersion: '1.1'\nmodules:\n  m:\n    settings: {image: 7}\n": "modules.m.settings.image (line 4, column 23): is not a string",
		"schemaVersion: '1.1'\nmodules:\n  m: {}\n  m: {}\n":               "modules.m (line 3, column 6): is given twice",
		"schemaVersion: '1.1'\nmodules: [\n":                               "it is not YAML: line 2: ",
		"schemaVersion: '1.1'\n---\nmodules: {}\n":                         "it is not one YAML document",
		"schemaVersion: '1.1'\nmodules:\n  ? [a]\n  : b\n":                 "line 3, column 5: a name is not a text",
		"schemaVersion: '1.1'\nmodules: &m\n  a: *m\n":                     "line 3, column 6: the alias",
		"schemaVersion: '1.1'\nx: &x {}\nmodules:\n  <<: *x\n":             "line 4, column 3: the merge key << is not supported",
		"schemaVersion: '1.1'\nmodules: !!binary aGk=\n":                   "line 2, column 10: binary data is not supported",
		"schemaVersion: '1.1'\nmodules: .inf\n":                            "line 2, column 10: \".inf\" is not a number that JSON can hold",
		"# nothing\n":                                                      "it is not YAML: EOF",
		bomb:                                                               "it has too many values",
	} {
		_, err := manifest.Parse([]byte(text), lookup)
		require.True(t, errdefs.IsInvalidArgument(err), text)
		require.ErrorContains(t, err, want)
	}
}

// What Parse lets through is fit to be sent, whatever the manifest is.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("testdata/whole.json")
	require.NoError(f, err)
	f.Add(text)
	f.Add([]byte(in(`{"settings":{"image":"i","createOptions":{"HostConfig":{"restartPolicy":null}}}}`)))
	f.Add([]byte("schemaVersion: 1.1\nmodules:\n  m: &m\n    settings: {image: i}\n  n: *m\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := manifest.Parse(text, lookup)
		if err != nil {
			require.True(t, errdefs.IsInvalidArgument(err))
			return
		}
		seen := map[string]bool{}
		for _, m := range d.Modules {
			require.False(t, seen[m.Spec.Name])
			seen[m.Spec.Name] = true
			require.NotEqual(t, "edgeAgent", m.Spec.Name)
			require.NotEmpty(t, m.Spec.Config.Settings.Image)
			var options map[string]any
			require.NoError(t, json.Unmarshal(m.Spec.Config.Settings.CreateOptions, &options))
			_, err := json.Marshal(m.Spec)
			require.NoError(t, err)
		}
	})
}
