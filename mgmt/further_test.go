package mgmt

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/peer"
)

// TestAMountIsChosenByItsPathAlone: neither a path that only looks alike nor one that
// hides a slash comes to a mount, and no other API's path leaves the contract.
func TestAMountIsChosenByItsPathAlone(t *testing.T) {
	f := newFixture(t)
	const here = http.StatusTeapot
	for _, root := range []string{"/v1", "/modules/api/bundles"} {
		f.cfg.Further = append(f.cfg.Further, Mount{root, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(here) })})
	}
	for path, further := range map[string]bool{
		"/v1": true, "/v1/": true, "/v1/modules": true, "/v1/../modules": true,
		"/v10": false, "/v1%2Fmodules": false, "//v1/modules": false, "/modules": false,
		"/modules/api/bundles": true, "/modules/api/bundles/*/_info": true, "/modules/api/bundles%2F": false, "/modules/api": false,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		New(f.cfg).ServeHTTP(w, r.WithContext(peer.NewContext(r.Context(), caller("root"))))
		require.Equal(t, further, w.Code == here, "%s: %d", path, w.Code)
	}
}
