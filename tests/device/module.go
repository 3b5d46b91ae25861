package device

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

// ManagementInside and WorkloadInside are the sockets as a module finds them.
const (
	ManagementInside = "/run/edged/mgmt.sock"
	WorkloadInside   = "/run/edged/workload.sock"
)

// Call is one request that a module makes; see the probe.
type Call struct {
	Socket, Method, Path, Body string
	Header                     map[string]string
	Conn                       string
}

// Answer is what came of it.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	Error  string
}

// Message is the text of an error answer.
func (a Answer) Message() string {
	var e wire.Error
	_ = json.Unmarshal([]byte(a.Body), &e)
	return e.Message
}

// Probe is a running probe module.
type Probe struct {
	d    *Device
	Name string
}

// Probe returns the handle of a probe module, once it is up.
func (d *Device) Probe(name string) *Probe {
	d.tb.Helper()
	p := &Probe{d, name}
	d.Eventually("probe "+name+" is up", func() bool {
		res, err := UnixClient(p.socket()).Get("http://probe/environ")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return true
	})
	return p
}

// Agent is the module edgeAgent.
func (d *Device) Agent() *Probe { return d.Probe("edgeAgent") }

func (p *Probe) socket() string { return filepath.Join(p.d.ProbeDir(p.Name), "control.sock") }

// Do asks the probe for something of its own.
func (p *Probe) Do(method, path, body string) (int, string) {
	p.d.tb.Helper()
	req, err := http.NewRequest(method, "http://probe"+path, strings.NewReader(body))
	require.NoError(p.d.tb, err)
	res, err := UnixClient(p.socket()).Do(req)
	require.NoError(p.d.tb, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(p.d.tb, err)
	return res.StatusCode, string(b)
}

// Try asks for something after which the probe may be gone.
func (p *Probe) Try(path string) {
	res, err := UnixClient(p.socket()).Post("http://probe"+path, "", nil)
	if err == nil {
		_ = res.Body.Close()
	}
}

// Call makes the module call one of edged's sockets.
func (p *Probe) Call(c Call) Answer {
	p.d.tb.Helper()
	if c.Socket == "" {
		c.Socket = ManagementInside
	}
	status, body := p.Do(http.MethodPost, "/call", mustJSON(p.d.tb, c))
	require.Equal(p.d.tb, http.StatusOK, status, body)
	var a Answer
	require.NoError(p.d.tb, json.Unmarshal([]byte(body), &a))
	return a
}

// Manage calls the management API as this module, with the newest api-version.
func (p *Probe) Manage(method, path, body string) Answer {
	p.d.tb.Helper()
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	return p.Call(Call{Method: method, Path: path + sep + Version, Body: body})
}

// Spec describes a probe module; edit it before it is created.
func (d *Device) Spec(name string) wire.ModuleSpec {
	require.NoError(d.tb, os.MkdirAll(d.ProbeDir(name), 0o777))
	require.NoError(d.tb, os.Chmod(d.ProbeDir(name), 0o777))
	return wire.ModuleSpec{
		Name: name, Type: "docker", ImagePullPolicy: "never",
		Config: wire.Config{Settings: wire.Settings{
			Image:         Image,
			CreateOptions: json.RawMessage(mustJSON(d.tb, map[string]any{"HostConfig": d.hostConfig(map[string]any{"Binds": []string{d.ProbeDir(name) + ":/probe"}})})),
		}},
	}
}

// hostConfig keeps modules off the machine's own network, where the device has none of its own.
func (d *Device) hostConfig(host map[string]any) map[string]any {
	if !d.opt.Network {
		host["NetworkMode"] = "none"
	}
	return host
}

// CommandSpec describes a module that runs one of the probe's commands.
func (d *Device) CommandSpec(name string, args ...string) wire.ModuleSpec {
	return wire.ModuleSpec{
		Name: name, Type: "docker", ImagePullPolicy: "never",
		Config: wire.Config{Settings: wire.Settings{
			Image: Image, CreateOptions: json.RawMessage(mustJSON(d.tb, map[string]any{"Cmd": args, "HostConfig": d.hostConfig(map[string]any{})})),
		}},
	}
}

// WithOptions sets createOptions to a copy with what edit does to it.
func WithOptions(spec wire.ModuleSpec, edit func(top, host map[string]any)) wire.ModuleSpec {
	top := map[string]any{}
	_ = json.Unmarshal(spec.Config.Settings.CreateOptions, &top)
	host, _ := top["HostConfig"].(map[string]any)
	if host == nil {
		host = map[string]any{}
		top["HostConfig"] = host
	}
	edit(top, host)
	spec.Config.Settings.CreateOptions, _ = json.Marshal(top)
	return spec
}

// Body is a spec as a request's body.
func (d *Device) Body(spec wire.ModuleSpec) string { return mustJSON(d.tb, spec) }

// Create makes a module through edgeAgent.
func (d *Device) Create(spec wire.ModuleSpec) {
	d.tb.Helper()
	a := d.Agent().Manage(http.MethodPost, "/modules", d.Body(spec))
	require.Equal(d.tb, http.StatusCreated, a.Status, a.Body+a.Error)
}

// CreateAndStart makes a module run.
func (d *Device) CreateAndStart(spec wire.ModuleSpec) {
	d.tb.Helper()
	d.Create(spec)
	d.Post(spec.Name, "start")
}

// Delete removes a module through edgeAgent.
func (d *Device) Delete(name string) {
	d.tb.Helper()
	a := d.Agent().Manage(http.MethodDelete, "/modules/"+url.PathEscape(name), "")
	require.Equal(d.tb, http.StatusNoContent, a.Status, a.Body+a.Error)
}

// Post does start, stop or restart as the host.
func (d *Device) Post(name, action string) {
	d.tb.Helper()
	a := d.Host(http.MethodPost, "/modules/"+url.PathEscape(name)+"/"+action+"?"+Version, "")
	require.Equal(d.tb, http.StatusNoContent, a.Status, a.Body)
}

// Get reads a module as the host.
func (d *Device) Get(name string) (wire.Module, int) {
	d.tb.Helper()
	a := d.Host(http.MethodGet, "/modules/"+url.PathEscape(name)+"?"+Version, "")
	var m wire.Module
	if a.Status == http.StatusOK {
		require.NoError(d.tb, json.Unmarshal([]byte(a.Body), &m))
	}
	return m, a.Status
}

// WaitFor waits until a module has a status.
func (d *Device) WaitFor(name, status string) wire.Module {
	d.tb.Helper()
	var m wire.Module
	d.Eventually(name+" is "+status, func() bool {
		m, _ = d.Get(name)
		return m.Status.RuntimeStatus.Status == status
	})
	return m
}

// Logs reads a module's log as the host.
func (d *Device) Logs(name, query string) string {
	d.tb.Helper()
	a := d.Host(http.MethodGet, "/modules/"+url.PathEscape(name)+"/logs?"+Version+query, "")
	require.Equal(d.tb, http.StatusOK, a.Status, a.Body)
	return a.Body
}

// TryManage is Manage for a call whose answer may never come.
func (p *Probe) TryManage(method, path, body string) {
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	c := Call{Socket: ManagementInside, Method: method, Path: path + sep + Version, Body: body}
	b, err := json.Marshal(c)
	if err != nil {
		return
	}
	res, err := UnixClient(p.socket()).Post("http://probe/call", "application/json", strings.NewReader(string(b)))
	if err == nil {
		_ = res.Body.Close()
	}
}
