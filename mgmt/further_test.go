package mgmt

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
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
		w := f.ask("root", "GET", path, "")
		require.Equal(t, further, w.Code == here, "%s: %d", path, w.Code)
	}
}
