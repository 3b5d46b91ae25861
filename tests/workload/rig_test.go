package workload

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

// member is a module that runs and knows itself from its environment, as an SDK does.
type member struct {
	t     *testing.T
	d     *device.Device
	probe *device.Probe
	// socket is the one that it calls, as it sees it.
	socket string
	env    map[string]string
}

// run makes a probe module run.
func run(t *testing.T, d *device.Device, name string) *member {
	t.Helper()
	d.CreateAndStart(d.Spec(name))
	return join(t, d, name)
}

// join is a module that runs already.
func join(t *testing.T, d *device.Device, name string) *member {
	t.Helper()
	m := &member{t: t, d: d, probe: d.Probe(name), env: map[string]string{}}
	_, text := m.probe.Do(http.MethodGet, "/environ", "")
	var env []string
	require.NoError(t, json.Unmarshal([]byte(text), &env))
	for _, kv := range env {
		key, value, _ := strings.Cut(kv, "=")
		m.env[key] = value
	}
	m.socket = strings.TrimPrefix(m.env["IOTEDGE_WORKLOADURI"], "unix://")
	return m
}

// shared is the same module on the socket that all share, which an operator may give it.
// It is to be done again after each start of edged.
func (m *member) shared() *member {
	m.t.Helper()
	link := filepath.Join(m.d.ProbeDir(m.probe.Name), "shared.sock")
	_ = os.Remove(link)
	require.NoError(m.t, os.Link(m.d.Workload(), link))
	copied := *m
	copied.socket = "/probe/shared.sock"
	return &copied
}

func (m *member) id() string         { return m.env["IOTEDGE_MODULEID"] }
func (m *member) generation() string { return m.env["IOTEDGE_MODULEGENERATIONID"] }

// path is that of one of the module's own routes.
func (m *member) path(action string) string { return path(m.id(), m.generation(), action) }

func path(id, generation, action string) string {
	return "/modules/" + url.PathEscape(id) + "/genid/" + url.PathEscape(generation) + "/" + action
}

// post asks the workload socket, with the version that the environment names.
func (m *member) post(path, body string) device.Answer {
	m.t.Helper()
	return m.probe.Call(device.Call{Socket: m.socket, Method: http.MethodPost, Path: path + "?api-version=" + m.env["IOTEDGE_APIVERSION"], Body: body})
}

func (m *member) get(path string) device.Answer {
	m.t.Helper()
	return m.probe.Call(device.Call{Socket: m.socket, Method: http.MethodGet, Path: path + "?api-version=" + m.env["IOTEDGE_APIVERSION"]})
}

// field is a member of a good answer.
func (m *member) field(a device.Answer, name string) string {
	m.t.Helper()
	require.Equal(m.t, http.StatusOK, a.Status, a.Body+a.Error)
	var fields map[string]string
	require.NoError(m.t, json.Unmarshal([]byte(a.Body), &fields))
	require.NotEmpty(m.t, fields[name], a.Body)
	return fields[name]
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func signBody(text string) string {
	return `{"keyId":"primary","algo":"HMACSHA256","data":"` + b64(text) + `"}`
}

func (m *member) sign(text string) string {
	m.t.Helper()
	return m.field(m.post(m.path("sign"), signBody(text)), "digest")
}

func (m *member) encrypt(text, iv string) string {
	m.t.Helper()
	return m.field(m.post(m.path("encrypt"), `{"plaintext":"`+b64(text)+`","initializationVector":"`+b64(iv)+`"}`), "ciphertext")
}

func decryptBody(ciphertext, iv string) string {
	return `{"ciphertext":"` + ciphertext + `","initializationVector":"` + b64(iv) + `"}`
}

func (m *member) decrypt(ciphertext, iv string) string {
	m.t.Helper()
	b, err := base64.StdEncoding.DecodeString(m.field(m.post(m.path("decrypt"), decryptBody(ciphertext, iv)), "plaintext"))
	require.NoError(m.t, err)
	return string(b)
}

// identity makes an identity, or finds it, as edgeAgent does.
func identity(t *testing.T, d *device.Device, moduleID string) wire.Identity {
	t.Helper()
	a := d.Agent().Manage(http.MethodPost, "/identities", `{"moduleId":"`+moduleID+`"}`)
	require.Equal(t, http.StatusOK, a.Status, a.Body+a.Error)
	var id wire.Identity
	require.NoError(t, json.Unmarshal([]byte(a.Body), &id))
	return id
}

func deleteIdentity(t *testing.T, d *device.Device, name string) {
	t.Helper()
	a := d.Agent().Manage(http.MethodDelete, "/identities/"+url.PathEscape(name), "")
	require.Equal(t, http.StatusNoContent, a.Status, a.Body+a.Error)
}

func deleteModule(t *testing.T, d *device.Device, name string) {
	t.Helper()
	a := d.Agent().Manage(http.MethodDelete, "/modules/"+url.PathEscape(name), "")
	require.Equal(t, http.StatusNoContent, a.Status, a.Body+a.Error)
}
