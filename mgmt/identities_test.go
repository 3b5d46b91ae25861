package mgmt

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

func TestIdentitiesInTheShapesThatClientsKnow(t *testing.T) {
	f := newFixture(t)
	w := f.ask("edgeAgent", "GET", "/identities/"+v, "")
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"identities":[{"moduleId":"$edgeAgent","managedBy":"iotedge","generationId":"g0","authType":"sas"},
		{"moduleId":"$target","managedBy":"iotedge","generationId":"g1","authType":"sas"}]}`, w.Body.String())

	// Without a content type, as one client sends it.
	w = f.ask("edgeAgent", "POST", "/identities"+v, `{"moduleId":"$edgeHub","managedBy":"plant","generationId":"mine"}`)
	require.Equal(t, 200, w.Code, w.Body)
	var hub wire.Identity
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &hub))
	require.NotEqual(t, "mine", hub.GenerationID)
	require.Equal(t, wire.Identity{ModuleID: "$edgeHub", ManagedBy: "plant", GenerationID: hub.GenerationID, AuthType: "sas"}, hub)

	w = f.ask("edgeAgent", "POST", "/identities"+v, `{"moduleId":"edgeHub"}`)
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), hub.GenerationID)

	for _, path := range []string{"/identities/%24edgeHub", "/identities/$edgeHub", "/identities/edgeHub"} {
		w = f.ask("edgeAgent", "PUT", path+v, `{"generationId":"other","managedBy":"`+path+`"}`)
		require.Equal(t, 200, w.Code)
		require.Contains(t, w.Body.String(), `"managedBy":"`+path+`","generationId":"`+hub.GenerationID)
	}
	w = f.ask("edgeAgent", "DELETE", "/identities/%24edgeHub"+v, "")
	require.Equal(t, 204, w.Code)
	require.Empty(t, w.Body)
}

func TestBadIdentityRequestsChangeNothing(t *testing.T) {
	f := newFixture(t)
	before := f.ids.List()
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/identities", ``, 400},
		{"POST", "/identities", `{`, 422},
		{"POST", "/identities", `{"moduleId":7}`, 422},
		{"POST", "/identities", `{}`, 400},
		{"POST", "/identities", `{"moduleId":"a/b"}`, 400},
		{"PUT", "/identities/nobody", `{}`, 404},
		{"PUT", "/identities/target", ``, 400},
		{"DELETE", "/identities/nobody", ``, 404},
		{"GET", "/identities/target", ``, 405},
	} {
		w := f.ask("edgeAgent", tc.method, tc.path+v, tc.body)
		require.Equal(t, tc.want, w.Code, "%s %s %s", tc.method, tc.path, tc.body)
		require.NotEmpty(t, message(t, w))
	}
	w := f.ask("edgeAgent", "POST", "/identities"+v, `{"moduleId":"x"}`, "Content-Type", "text/plain")
	require.Equal(t, http.StatusUnsupportedMediaType, w.Code)
	require.Equal(t, before, f.ids.List())
}
