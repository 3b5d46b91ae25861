package workload

import (
	"encoding/base64"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

func TestAModuleUsesItsKeysThroughEitherSocket(t *testing.T) {
	d := device.New(t, device.Options{})
	own := run(t, d, "sensor")
	shared := own.shared()
	digest := own.sign("text")
	raw, err := base64.StdEncoding.DecodeString(digest)
	require.NoError(t, err)
	require.Len(t, raw, 32)
	require.Equal(t, digest, shared.sign("text"))
	require.NotEqual(t, digest, own.sign("other text"))
	secondary := strings.Replace(signBody("text"), "primary", "secondary", 1)
	require.NotEqual(t, digest, own.field(own.post(own.path("sign"), secondary), "digest"))

	sealed := own.encrypt("plain", "iv")
	require.NotEqual(t, sealed, own.encrypt("plain", "iv"), "clients use one iv for everything")
	require.Equal(t, "plain", shared.decrypt(sealed, "iv"))
	require.Equal(t, http.StatusBadRequest, own.post(own.path("decrypt"), decryptBody(sealed, "vi")).Status)
	for _, m := range []*member{own, shared} {
		require.Equal(t, http.StatusOK, m.get("/modules").Status)
		require.Contains(t, m.field(m.get("/trust-bundle"), "certificate"), "BEGIN CERTIFICATE")
		require.JSONEq(t, `{"certificate":""}`, m.get("/manifest-trust-bundle").Body)
	}
}

// Nobody but the module itself, whatever the generation id that they know.
func TestNobodyElseUsesAModulesKeys(t *testing.T) {
	d := device.New(t, device.Options{})
	target, other, agent := run(t, d, "target"), run(t, d, "other"), join(t, d, "edgeAgent")
	sealed := target.encrypt("plain", "iv")
	bodies := map[string]string{
		target.path("sign"):                         signBody("text"),
		target.path("encrypt"):                      `{"plaintext":"YQ==","initializationVector":"YQ=="}`,
		target.path("decrypt"):                      decryptBody(sealed, "iv"),
		target.path("certificate/server"):           `{"commonName":"target"}`,
		"/modules/target/certificate/identity":      `{}`,
		path("target", "another", "sign"):           signBody("text"),
		path("nobody", target.generation(), "sign"): signBody("text"),
	}
	host := device.UnixClient(d.Workload())
	for route, body := range bodies {
		for _, m := range []*member{other, other.shared(), agent} {
			a := m.post(route, body)
			require.Equal(t, http.StatusForbidden, a.Status, route)
			require.JSONEq(t, `{"message":"forbidden"}`, a.Body)
		}
		res, err := host.Post("http://localhost"+route+"?"+device.Version, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusForbidden, res.StatusCode, "root of the host: %s", route)
	}
	require.Equal(t, http.StatusBadRequest, other.post(other.path("decrypt"), decryptBody(sealed, "iv")).Status, "its own key opens nothing of another's")
	require.NotEqual(t, target.sign("text"), other.sign("text"))
	require.NotContains(t, d.EdgedLog(), sealed)
}

// What a module signed and encrypted is good for as long as its identity.
func TestKeysOutliveEdgedAndTheContainer(t *testing.T) {
	d := device.New(t, device.Options{})
	m := run(t, d, "sensor")
	digest, sealed := m.sign("text"), m.encrypt("plain", "iv")
	same := func(t *testing.T, m *member) {
		require.Equal(t, digest, m.sign("text"))
		require.Equal(t, "plain", m.decrypt(sealed, "iv"))
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		d.Edged.Signal(sig)
		d.StartEdged()
		same(t, m)          // the socket that it has had all the time
		same(t, m.shared()) // one that is new
	}
	d.Post("sensor", "restart")
	same(t, join(t, d, "sensor"))
	deleteModule(t, d, "sensor")
	same(t, run(t, d, "sensor"))
	d.Reboot()
	d.WaitFor("sensor", "running")
	same(t, join(t, d, "sensor"))
}
