package identity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

// real is the daemon without a weakness.
const real = ""

// rig is a device whose daemon can be exchanged while its modules run on.
type rig struct {
	*device.Device
	program string // a link to the daemon's program
	puppets int    // made so far
}

func newRig(t *testing.T) *rig {
	r := &rig{program: filepath.Join(t.TempDir(), "edged")}
	t.Cleanup(func() { // registered first, so that it is done when the device has ended its processes
		device.RemoveCgroups(t, r.foreign())
	})
	r.install(t, "real")
	r.Device = device.New(t, device.Options{Binary: r.program})
	return r
}

func (r *rig) install(t *testing.T, build string) {
	_ = os.Remove(r.program)
	require.NoError(t, os.Symlink(filepath.Join(built, build, "edged"), r.program))
}

// foreign is a namespace of containerd that edged knows nothing of.
func (r *rig) foreign() string { return r.Namespace + "-foreign" }

// daemon starts edged anew: the real one, or the one that lacks the defences named, with commas between them.
func (r *rig) daemon(t *testing.T, weaknesses string) {
	r.Edged.Signal(syscall.SIGTERM)
	build := "real"
	if weaknesses != real {
		build = "weakened"
	}
	r.install(t, build)
	r.SetEnv("EDGED_WEAKNESS=" + leftOut(weaknesses))
	r.StartEdged()
}

// against names a subtest.
func against(weaknesses string) string {
	if weaknesses == real {
		return "is refused"
	}
	return "against " + weaknesses
}

// module makes a module run that may use the management API.
func (r *rig) module(t *testing.T, name string, edit func(host map[string]any)) {
	t.Helper()
	r.CreateAndStart(r.spec(name, edit))
}

func (r *rig) spec(name string, edit func(host map[string]any)) wire.ModuleSpec {
	spec := r.Spec(name)
	spec.Config.Settings.Management = true
	if edit != nil {
		spec = device.WithOptions(spec, func(_, host map[string]any) { edit(host) })
	}
	return spec
}

func privileged(host map[string]any) { host["Privileged"] = true }

// share puts a shared socket into a module's own folder, as an operator may, and returns its path inside. It is to be done again after each start of edged.
func (r *rig) share(t *testing.T, module, socket string) string {
	t.Helper()
	inside := filepath.Base(socket)
	_ = os.Remove(filepath.Join(r.ProbeDir(module), inside))
	require.NoError(t, os.Link(socket, filepath.Join(r.ProbeDir(module), inside)))
	return "/probe/" + inside
}

// planted is a request that only edgeAgent may make, and which leaves something behind.
func (r *rig) planted(name string) string {
	return request(http.MethodPost, "/modules", r.Body(r.CommandSpec(name, "sleep")))
}

// harmless is a request that any known caller may make and that is audited although it changes nothing: edgeAgent runs.
var harmless = request(http.MethodPost, "/modules/edgeAgent/start", "")

// list is what any known caller may ask of either socket.
var list = request(http.MethodGet, "/modules", "")

func request(method, path, body string) string {
	return fmt.Sprintf("%s %s?%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, device.Version, len(body), body)
}

// event is what the audit log says of a request.
type event struct {
	Audit                                                         bool
	Event, Caller, Reason, Module, Method, Status, Rule, Listener string
	CallerModule                                                  string `json:"caller_module"`
	CallerContainer                                               string `json:"caller_container"`
	CallerUID                                                     string `json:"caller_uid"`
}

// audited returns the newest event of the audit log. Events are written before the answer; refusals that are alike only once in a daemon's first minute.
func (r *rig) audited(t *testing.T) event {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(r.Root, "edged.log"))
	require.NoError(t, err)
	var last event
	for line := range bytes.Lines(log) {
		var e event
		if json.Unmarshal(line, &e) == nil && e.Audit {
			last = e
		}
	}
	return last
}

var metricLine = regexp.MustCompile(`(?m)^(edged_peer_\S+) (\d+)$`)

// metrics returns those of callers by name with labels.
func (r *rig) metrics(t *testing.T) map[string]string {
	t.Helper()
	a := r.Host(http.MethodGet, "/metrics", "")
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	m := map[string]string{}
	for _, line := range metricLine.FindAllStringSubmatch(a.Body, -1) {
		m[line[1]] = line[2]
	}
	return m
}

// rejected is how many callers the daemon refused for a reason since it started.
func (r *rig) rejected(t *testing.T, listener, reason string) string {
	t.Helper()
	n := r.metrics(t)[fmt.Sprintf("edged_peer_rejected_total{listener=%q,reason=%q}", listener, reason)]
	if n == "" {
		return "0"
	}
	return n
}

// exists says whether a module is there.
func (r *rig) exists(name string) bool {
	_, status := r.Get(name)
	return status == http.StatusOK
}

// cgroup returns the cgroup path that a process has and edged has recorded: the one that ends in the container's id.
func cgroup(t *testing.T, pid int, id string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if last := filepath.Base(parts[2]); last == id || last == "edged-"+id+".scope" {
			return parts[2]
		}
	}
	require.FailNow(t, "process is not in container "+id, "%s", b)
	return ""
}
