package system

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/openapi"
	"github.com/edged/edged/contrib/openapi/openapitest"
	"github.com/edged/edged/tests/device"
)

// documents holds what a real edged answers to its documents; the tests of the HTTP packages do so with what is behind them made up.
func documents(t *testing.T, d *device.Device) {
	forward := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := d.Host(r.Method, r.URL.RequestURI(), "")
		maps.Copy(w.Header(), a.Header)
		w.WriteHeader(a.Status)
		_, _ = io.WriteString(w, a.Body)
	})
	const v = "?" + device.Version
	for document, paths := range map[string]map[string]int{
		"management.yaml": {
			"/modules" + v: 200, "/modules" + v + "&system=true": 200, "/modules/eater" + v: 200, "/modules/none" + v: 404, "/modules/talker/logs" + v + "&tail=1": 200, "/identities" + v: 403,
			"/systeminfo" + v: 200, "/systeminfo/resources" + v: 200, "/systeminfo/supportbundle" + v: 200, "/networks" + v: 200, "/images" + v: 200, "/volumes" + v: 200, "/device/ca" + v: 200,
			"/deployment" + v: 200, "/deployment/manifest" + v: 404, "/metrics": 200, "/none" + v: 404, "/none": 400,
		},
		"uploads.yaml": {"/v1/modules": 200, "/v1/cluster/module-capabilities": 200, "/v1/modules/none": 404, "/v2/modules": 405},
		"catalog.yaml": {"/rest_api/v1/": 200, "/rest_api/v1/modules/": 200, "/rest_api/v1/modules/?page_size=-1": 200, "/rest_api/v1/auth/token/obtain/": 200, "/rest_api/v1/modules/none/": 404},
		"bundles.yaml": {
			"/modules/api/bundles/_list": 200, "/modules/api/bundles/*/_info": 200, "/modules/api/bundles/_localPersistentStates": 200, "/modules/api/bundles/none/_localState": 400, "/modules/api/bundles": 405,
		},
	} {
		h := openapitest.Open(document)(t).Holds(t, forward)
		for path, status := range paths {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			require.Equal(t, status, w.Code, "%s: %s", path, w.Body)
		}
	}
	for _, name := range openapi.Names {
		text, err := openapi.Read(name)
		require.NoError(t, err)
		a := d.Host("GET", "/openapi/"+name, "")
		require.Equal(t, http.StatusOK, a.Status)
		require.Equal(t, string(text), a.Body)
	}
}
