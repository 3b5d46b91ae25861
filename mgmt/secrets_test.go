package mgmt

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
)

func TestSealingAnswersTextAndNamesTheModule(t *testing.T) {
	for given, want := range map[string]string{`{"value":"dg=="}`: `seal ""`, `{"value":"dg==","module":"$target"}`: `seal "target"`} {
		f := newFixture(t)
		w := f.ask("edged", "POST", "/secrets/seal"+v, given)
		require.Equal(t, 200, w.Code, w.Body)
		require.JSONEq(t, `{"sealed":"sealed-v"}`, w.Body.String())
		require.Equal(t, []string{want}, f.sup.asked)
	}
	for _, bad := range []string{`{"value":"?"}`, `{"value":"dg"}`, `{"value":"dg==","module":"a/b"}`} {
		f := newFixture(t)
		require.Equal(t, 400, f.ask("edged", "POST", "/secrets/seal"+v, bad).Code, bad)
		require.Empty(t, f.sup.asked)
	}
}

func secretsBody(secrets string) string {
	return `{"name":"new","type":"docker","config":{"settings":{"image":"i","secrets":` + secrets + `}}}`
}

func TestAnswersNameSecretsAndShowNone(t *testing.T) {
	f := newFixture(t)
	w := f.ask("edgeAgent", "POST", "/modules"+v, secretsBody(`{"b":{"file":"/etc/key","path":"/x","mode":"0440","uid":7,"gid":8},"a":{"sealed":"text-that-is-sealed"}}`))
	require.Equal(t, 201, w.Code, w.Body)
	uid, gid := uint32(7), uint32(8)
	require.Equal(t, []module.Secret{
		{Name: "a", Sealed: "text-that-is-sealed", Path: "/run/secrets/a", Mode: 0o400},
		{Name: "b", File: "/etc/key", Path: "/x", Mode: 0o440, UID: &uid, GID: &gid},
	}, f.sup.spec.Secrets)
	require.Contains(t, w.Body.String(), `"secrets":{"a":{"sealed":true,"path":"/run/secrets/a","mode":"0400"},"b":{"file":"/etc/key","path":"/x","mode":"0440","uid":7,"gid":8}}`)
	require.NotContains(t, w.Body.String(), "text-that-is-sealed")
	require.NotContains(t, f.ask("edgeAgent", "GET", "/modules"+v, "").Body.String(), `"secrets"`, "who has none shows none")
}

func TestBadSecretsAreNamed(t *testing.T) {
	for given, want := range map[string]int{
		`{"a":{"sealed":true}}`: 400, `{"a":{"sealed":1}}`: 400, `{"a":{}}`: 400, `{"a":{"file":"/f","mode":"9"}}`: 400, `{"a":{"file":"/f","mode":"7777"}}`: 400,
		`{"a":{"file":1}}`: 422, `{"a":{"file":"/f","uid":-1}}`: 422, `[]`: 422,
	} {
		f := newFixture(t)
		w := f.ask("edgeAgent", "POST", "/modules"+v, secretsBody(given))
		require.Equal(t, want, w.Code, "%s: %s", given, w.Body)
		require.Contains(t, message(t, w), "secrets")
		require.Empty(t, f.sup.asked)
	}
}
