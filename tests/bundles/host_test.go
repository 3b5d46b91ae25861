package bundles

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

func (r *rig) persistentStates() {
	r.install(true, active(r.t, "good", "1.0.0", "Implementation-Version: 1.0-rc1"), active(r.t, "counts", "1.0.0"))
	r.do("counts", "stop")
	stored := func() map[string]wire.BundlePersistentState {
		a := r.Host(http.MethodGet, root+"/_localPersistentStates", "")
		require.Equal(r.t, http.StatusOK, a.Status, a.Body)
		var all []wire.BundlePersistentState
		require.NoError(r.t, json.Unmarshal([]byte(a.Body), &all))
		require.Equal(r.t, "System Bundle", all[0].Location)
		require.EqualValues(r.t, 0, *all[0].ID)
		by := map[string]wire.BundlePersistentState{}
		for _, s := range all {
			by[s.SymbolicName] = s
		}
		return by
	}
	before := stored() // the stop stored it
	require.Equal(r.t, []any{32, "1.0-rc1", "dx:good/1.0.0"}, []any{before["good"].State, before["good"].Version, before["good"].Location})
	require.Equal(r.t, 2, before["counts"].State)
	text, err := json.Marshal([]wire.BundlePersistentState{before["good"], before["counts"], before["org.eclipse.osgi"]})
	require.NoError(r.t, err)

	r.do("good", "stop")
	r.do("counts", "start")
	require.Equal(r.t, []int{2, 32}, []int{stored()["good"].State, stored()["counts"].State})
	a := r.Host(http.MethodPost, root+"/_restoreAllLocalPersistentStates", string(text))
	require.Equal(r.t, http.StatusOK, a.Status, a.Body)
	require.Equal(r.t, map[string]string{"good/1.0.0": "ACTIVE", "counts/1.0.0": "RESOLVED"}, r.states())
	r.do("counts", "uninstall")
	r.do("good", "stop")
	a = r.Host(http.MethodPost, root+"/_restoreAllLocalPersistentStates", string(text))
	require.Equal(r.t, http.StatusNotFound, a.Status, a.Body)
	require.Contains(r.t, a.Body, "counts/1.0.0")
	require.Equal(r.t, "RESOLVED", r.state("good/1.0.0"), "nothing was done")
}

func (r *rig) whoMay() {
	r.install(true, active(r.t, "good", "1.0.0"))
	for name, may := range map[string]bool{"admin": true, "other": false} {
		spec := r.Spec(name)
		spec.Config.Settings.Management = true
		r.CreateAndStart(spec)
		p := r.Probe(name)
		for _, c := range []device.Call{{Method: http.MethodGet, Path: root + "/good/1.0.0/_localState"}, {Method: http.MethodPost, Path: root + "/good/_stop"}} {
			a := p.Call(c)
			if may {
				require.Equal(r.t, http.StatusOK, a.Status, a.Body)
				continue
			}
			require.Equal(r.t, http.StatusUnauthorized, a.Status, a.Body)
			require.Equal(r.t, "user /modules/other is not allowed to access Module Manager HTTP API", a.Body)
			require.True(r.t, strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain"))
			require.NotEmpty(r.t, a.Header.Get("Www-Authenticate"))
		}
		// The framework's module is edged's own affair.
		for method, path := range map[string]string{http.MethodGet: "/modules/osgiHost", http.MethodPost: "/modules/osgiHost/stop"} {
			require.Equal(r.t, http.StatusForbidden, p.Manage(method, path, "").Status)
		}
		require.NotContains(r.t, p.Manage(http.MethodGet, "/modules?system=true", "").Body, "osgiHost")
		r.Delete(name)
	}
	agent := r.Agent()
	require.NotContains(r.t, agent.Manage(http.MethodGet, "/modules", "").Body, "osgiHost")
	a := agent.Manage(http.MethodPost, "/modules", r.Body(r.Spec("osgiHost")))
	require.Equal(r.t, http.StatusBadRequest, a.Status, a.Body)
	require.Contains(r.t, a.Message(), "reserved")
	require.Equal(r.t, http.StatusBadRequest, agent.Manage(http.MethodDelete, "/modules/osgiHost", "").Status)

	// Another process than the framework's is no framework, root or not.
	sockets, err := filepath.Glob(filepath.Join(r.Run, "modules", "*", "osgi.sock"))
	require.NoError(r.t, err)
	require.Len(r.t, sockets, 1)
	conn, err := net.Dial("unix", sockets[0])
	require.NoError(r.t, err)
	defer conn.Close()
	if _, err = conn.Write([]byte(`{"hello":1,"session":"x","javaLevel":17}` + "\n")); err != nil {
		require.ErrorIs(r.t, err, unix.EPIPE, "it is closed already")
	}
	require.NoError(r.t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = conn.Read(make([]byte, 1))
	require.Error(r.t, err)
	require.NotErrorIs(r.t, err, os.ErrDeadlineExceeded, "the connection is closed")
	r.do("good", "start")
}

// container looks at the container as the kernel does, and as a bundle does.
func (r *rig) container() {
	r.install(true, active(r.t, "spies", "1.0.0"))
	r.Eventually("the bundle has looked around", func() bool { return strings.Contains(r.Logs("osgiHost", "&tail=50"), "the root is") })
	log := r.Logs("osgiHost", "&tail=50")
	require.Contains(r.t, log, "the root is kept")
	require.NotContains(r.t, log, "can be written")
	require.Regexp(r.t, `Uid:\s+65532\s+65532`, log)
	require.Regexp(r.t, `CapEff:\s+0000000000000000`, log)
	require.Regexp(r.t, `NoNewPrivs:\s+1`, log)
	out, err := exec.Command("cat", "/proc/self/cgroup").Output()
	require.NoError(r.t, err)
	if strings.Contains(string(out), ":memory:") {
		limits, err := filepath.Glob("/sys/fs/cgroup/memory/" + r.Namespace + "/osgiHost-*/memory.limit_in_bytes")
		require.NoError(r.t, err)
		require.Len(r.t, limits, 1)
		text, err := os.ReadFile(limits[0])
		require.NoError(r.t, err)
		require.Equal(r.t, "301989888", strings.TrimSpace(string(text)), "twice the heap, and what Java has besides")
	}
}

func (r *rig) edgectl() {
	dir := r.t.TempDir()
	ctl := func(args ...string) (string, error) {
		out, err := exec.Command(filepath.Join(device.Repository(), "bin", "edgectl"), append([]string{"--host", r.Management()}, args...)...).CombinedOutput()
		return string(out), err
	}
	ok := func(args ...string) string {
		out, err := ctl(args...)
		require.NoError(r.t, err, out)
		return out
	}
	require.Equal(r.t, "org.jahia.modules/article/1.0.0\norg.jahia.modules/news/1.0.0\n", ok("bundle", "install", "--start", file(r.t, dir, "a.jar", article(r.t, "1.0.0")), file(r.t, dir, "n.jar", news(r.t, "1.0.0"))))
	require.Regexp(r.t, `(?s)KEY .*org.jahia.modules/news/1.0.0 +MODULE +ACTIVE +started`, ok("bundle", "list"))
	require.Equal(r.t, "org.jahia.modules/article/1.0.0 ACTIVE\norg.jahia.modules/news/1.0.0 ACTIVE\n", ok("bundle", "list", "--format", "{{.Key}} {{.State}}"))
	states := file(r.t, dir, "states.json", []byte(ok("bundle", "states")))
	require.Equal(r.t, "org.jahia.modules/news/1.0.0\n", ok("bundle", "stop", "news"))
	require.Contains(r.t, ok("bundle", "info", "news/*"), `"osgiState": "RESOLVED"`)
	require.Equal(r.t, "org.jahia.modules/news/1.0.0\n", ok("bundle", "restore", states))
	ok("bundle", "refresh", "article")
	ok("bundle", "update", "article")
	require.Contains(r.t, ok("list"), "osgiHost")
	ok("stop", "osgiHost")
	a := r.Host(http.MethodPost, root+"/article/_start", "")
	require.Equal(r.t, http.StatusServiceUnavailable, a.Status, a.Body)
	require.Contains(r.t, a.Body, "somebody stopped the module osgiHost; edgectl start osgiHost starts it")
	ok("start", "osgiHost")
	require.Contains(r.t, ok("bundle", "info", "article/*"), `"osgiState"`)
	out, err := ctl("bundle", "install", file(r.t, dir, "none.jar", []byte("none")))
	require.Error(r.t, err)
	require.Contains(r.t, out, "not a valid OSGi bundle")
	ok("bundle", "uninstall", "article", "news")
	require.Empty(r.t, ok("bundle", "list", "-q"))
}

// badBundles bring the framework down, or hold it up.
func (r *rig) badBundles() {
	r.install(true, active(r.t, "good", "1.0.0"))
	begun := time.Now()
	a := r.tryInstall(true, active(r.t, "hangs", "1.0.0"))
	require.Equal(r.t, http.StatusServiceUnavailable, a.Status, a.Body)
	require.Less(r.t, time.Since(begun), 2*time.Minute)
	require.Equal(r.t, "STARTING", r.state("hangs/1.0.0"), "it is what it is")
	require.Equal(r.t, "ACTIVE", r.state("good/1.0.0"))
	r.do("good", "start")
	pid := r.jvm()
	r.do("hangs", "stop")
	require.NotEqual(r.t, pid, r.jvm(), "the framework is another")
	require.NotEqual(r.t, "STARTING", r.state("hangs/1.0.0"), "what hung is out of the way")
	require.Equal(r.t, "ACTIVE", r.state("good/1.0.0"))
	r.do("hangs", "uninstall")
	a = r.tryInstall(true, active(r.t, "exits", "1.0.0"))
	require.Equal(r.t, http.StatusServiceUnavailable, a.Status, a.Body)
	// It ends each framework that starts it, until it is held and the others run in peace.
	r.Eventually("the others are back", func() bool {
		a := r.Host(http.MethodGet, root+"/good/1.0.0/_localState", "")
		return a.Body == `"ACTIVE"` && strings.Contains(r.EdgedLog(), "left out from now on")
	})
	require.NotEqual(r.t, "ACTIVE", r.state("exits/1.0.0"))
	pid = r.jvm()
	r.do("good", "start")
	require.Equal(r.t, pid, r.jvm())
	require.Equal(r.t, http.StatusServiceUnavailable, r.try("exits", "start").Status, "whoever starts it has the harm")
	r.do("exits", "uninstall")
	r.Eventually("the others are back again", func() bool {
		return r.Host(http.MethodGet, root+"/good/1.0.0/_localState", "").Body == `"ACTIVE"`
	})
}

func TestWithoutAFramework(t *testing.T) {
	r := &rig{device.New(t, device.Options{Config: "[bundles]\nnode = \"gateway\"\n"}), t}
	r.install(false, article(t, "1.0.0"))
	a := r.tryInstall(true, news(t, "1.0.0"))
	require.Equal(t, http.StatusServiceUnavailable, a.Status, a.Body)
	require.Contains(t, a.Body, "edged-osgi", "it says how to install it")
	require.Equal(t, map[string]string{"org.jahia.modules/article/1.0.0": "INSTALLED", "org.jahia.modules/news/1.0.0": "INSTALLED"}, r.states())
	require.Equal(t, http.StatusServiceUnavailable, r.try("article", "start").Status)
	require.Equal(t, http.StatusNotFound, r.try("none", "start").Status, "that it is not there comes first")
	r.do("article", "refresh")
	r.do("article", "update")
	require.Contains(t, r.Host(http.MethodGet, root+"/*/_info", "").Body, `{"gateway":{"org.jahia.modules/article/1.0.0":`)
	a = r.Host(http.MethodPost, root+"/_storeAllLocalPersistentStates", "")
	require.Contains(t, a.Body, `{"symbolicName":"news","location":"dx:org.jahia.modules/news/1.0.0","state":32,`)
	r.do("news", "stop")
	_, status := r.Get("osgiHost")
	require.Equal(t, http.StatusNotFound, status)

	// The package comes while edged runs.
	r.do("news", "uninstall")
	archive, err := os.ReadFile(filepath.Join(device.Repository(), "bin", "edged-osgi-host.tar"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(r.Home, "images", "edged-osgi-host.tar"), archive, 0o600))
	r.do("article", "start")
	require.Equal(t, "ACTIVE", r.state("article/1.0.0"))
}
