package mgmt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
)

func deploy(text, more string) string {
	return fmt.Sprintf(`{"manifest":%q%s}`, base64.StdEncoding.EncodeToString([]byte(text)), more)
}

func TestADeploymentGoesInAndItsValuesDoNotComeOut(t *testing.T) {
	f := newFixture(t)
	const text = "schemaVersion: \"1.1\"\n# caf\xe9\n"
	w := f.ask("edged", "PUT", "/deployment"+v, deploy(text, `,"variables":{"PW":"hunter2"},"before":""`))
	require.Equal(t, 200, w.Code, w.Body)
	require.JSONEq(t, fmt.Sprintf(`{"revision":%q,"changed":true}`, deployment.Revision([]byte(text))), w.Body.String())

	w = f.ask("root", "GET", "/deployment"+v, "")
	require.JSONEq(t, fmt.Sprintf(`{"revision":%q,"variables":["PW"],"history":[]}`, deployment.Revision([]byte(text))), w.Body.String())
	w = f.ask("root", "GET", "/deployment/manifest"+v, "")
	var m wire.DeploymentManifest
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &m))
	require.Equal(t, text, string(m.Manifest), "byte for byte")

	w = f.ask("root", "PUT", "/deployment"+v, deploy("other", `,"before":"0123"`))
	require.Equal(t, 409, w.Code)
	require.Contains(t, message(t, w), "look again")
	for body, status := range map[string]int{
		`{"manifest":""}`: 400, `{"manifest":"%"}`: 422, `{"manifest":7}`: 422, "": 400, `{`: 422,
		deploy("x", `,"variables":["hunter2"]`): 422, deploy(strings.Repeat("x", deployment.MaxFile+1), ""): 400,
		deploy(strings.Repeat("x", 4*deployment.MaxFile), ""): 413,
	} {
		w = f.ask("root", "PUT", "/deployment"+v, body)
		require.Equal(t, status, w.Code, "%.60s: %s", body, w.Body)
		require.NotContains(t, w.Body.String(), "hunter2")
	}
	require.Equal(t, 404, f.ask("root", "GET", "/deployment/manifest"+v+"&revision="+strings.Repeat("0", 64), "").Code)
	require.Equal(t, 400, f.ask("root", "GET", "/deployment/manifest"+v+"&revision=../x", "").Code)
}

// TestALongManifestFits although its JSON is longer than other bodies may be.
func TestALongManifestFits(t *testing.T) {
	f := newFixture(t)
	text := strings.Repeat("\"", deployment.MaxFile)
	require.Equal(t, 200, f.ask("root", "PUT", "/deployment"+v, deploy(text, "")).Code)
}

func TestADeploymentIsAuditedWithItsRevisionAndNoValue(t *testing.T) {
	f := newFixture(t)
	// New writes JSON lines where stderr is no journal.
	var out bytes.Buffer
	f.cfg.Audit = audit.New(&out)
	require.Equal(t, 200, f.ask("edged", "PUT", "/deployment"+v, deploy("text", `,"variables":{"PW":"hunter2"}`)).Code)
	f.cfg.Audit.Close()
	require.Contains(t, out.String(), `"revision":"`+deployment.Revision([]byte("text"))+`"`)
	require.Contains(t, out.String(), `"caller_uid":"1000"`)
	require.NotContains(t, out.String(), "hunter2")
}

func TestWhatTheAgentWroteWrongIsToldAndHidesNothingElse(t *testing.T) {
	f := newFixture(t)
	k := f.cfg.Deployments.(*deployment.Keeper)
	require.NoError(t, os.WriteFile(k.Status+"/"+deployment.StatusFile, []byte("{"), 0o600))
	require.Equal(t, 200, f.ask("root", "PUT", "/deployment"+v, deploy("text", "")).Code)
	w := f.ask("root", "GET", "/deployment"+v, "")
	require.Equal(t, 200, w.Code)
	var d wire.Deployment
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &d))
	require.Nil(t, d.Status)
	require.Contains(t, d.Problem, deployment.StatusFile)
	require.NotEmpty(t, d.Revision)
}
