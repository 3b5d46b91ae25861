package deploy

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/pkg/client/wire"
)

func parse(t *testing.T, modules string) *manifest.Deployment {
	d, err := manifest.Parse([]byte(`{"schemaVersion":"1.1","modules":`+modules+`}`), func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	return d
}

func TestDiffNamesWhatChanges(t *testing.T) {
	options := func(o string) string {
		b, err := json.Marshal(o)
		require.NoError(t, err)
		return string(b)
	}
	before := parse(t, `{"same":{"settings":{"image":"i"}},"gone":{"settings":{"image":"g"}},
		"pump":{"startupOrder":1,"env":{"A":{"value":"secret"},"B":{"value":"b"}},"settings":{"image":"p:1","createOptions":`+options(`{"Env":["X=hidden"],"HostConfig":{"Binds":["/a:/a"],"Memory":1}}`)+`}}}`)
	next := parse(t, `{"same":{"settings":{"image":"i"}},"new":{"settings":{"image":"n"}},
		"pump":{"status":"stopped","startupOrder":2,"env":{"A":{"value":"other"},"C":{"value":"c"}},"settings":{"image":"p:2","createOptions":`+options(`{"Env":["X=shown"],"HostConfig":{"Binds":["/b:/b"],"Memory":1}}`)+`}}}`)
	changes := Diff(before, next, nil)
	require.Equal(t, []Change{
		{Module: "pump", Kind: Changed, Fields: []string{
			"image: p:1 -> p:2", "status: running -> stopped", "startup order: 1 -> 2", "env A: changed", "env B: removed", "env C: added",
			"createOptions.Env X: changed", `createOptions.HostConfig.Binds: ["/a:/a"] -> ["/b:/b"]`,
		}, Made: true},
		{Module: "new", Kind: Added, Image: "n", Made: true},
		{Module: "gone", Kind: Removed, Image: "g"},
	}, changes)
	require.Empty(t, Diff(next, next, nil))
}

func TestDiffNamesSecretsAndWhatIsMadeForThem(t *testing.T) {
	with := func(secrets string) *manifest.Deployment {
		return parse(t, `{"pump":{"settings":{"image":"i","secrets":{`+secrets+`}}}}`)
	}
	before := with(`"a":{"sealed":"edged-secret1d-x"},"b":{"file":"/b"},"c":{"file":"/c"}`)
	require.Equal(t, []Change{{Module: "pump", Kind: Changed, Made: true, Fields: []string{"secret a: changed", "secret b: removed", "secret c: changed", "secret d: added"}}},
		Diff(before, with(`"a":{"sealed":"edged-secret1d-y"},"c":{"file":"/c","mode":"0440"},"d":{"file":"/d"}`), nil))
	// What edged tells of a module that is there.
	have := []wire.Module{{Name: "pump", Type: "docker", Config: before.Modules[0].Spec.Config, Status: wire.ModuleStatus{RuntimeStatus: wire.RuntimeStatus{Status: "stopped"}}}}
	have[0].Config.Settings.Secrets = map[string]wire.Secret{"a": {Sealed: true}, "b": {File: "/b"}, "c": {File: "/c"}}
	require.Equal(t, []Change{{Module: "pump", Kind: Changed, Fields: []string{"status: stopped -> running"}}}, Diff(nil, before, have))
}

func TestEnvFiles(t *testing.T) {
	got, err := ParseEnvFile([]byte("\n# c\nA=1\nexport B=\"two words\"\nC='x=y'\nD=\nE=a#b\r\n"))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"A": "1", "B": "two words", "C": "x=y", "D": "", "E": "a#b"}, got)
	for _, bad := range []string{"A", "=x", "A B=c", "${A}=x"} {
		_, err := ParseEnvFile([]byte("OK=1\n" + bad))
		require.ErrorContains(t, err, "line 2", bad)
	}
}

func FuzzParseEnvFile(f *testing.F) {
	f.Add([]byte("A=1\nexport B='x'\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ParseEnvFile(text)
		if err == nil {
			for name := range got {
				require.NotEmpty(t, name)
			}
		}
	})
}
