package uploads

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/pack/packtest"
	"github.com/edged/edged/tests/device"
)

// crashes says during which operations each named point is passed. A point that is in the
// source and not here, or here and never hit, fails the test.
var crashes = map[string][]string{
	"uploadAfterIntent": {"ramp", "image"}, "uploadAfterBlob": {"ramp", "image"}, "uploadAfterRow": {"ramp", "image"},
	"uploadAfterDependency": {"dependency"}, "uploadAfterLayer": {"ramp"}, "uploadAfterBlobsImported": {"image"},
	"uploadAfterImageNamed": {"ramp", "image"}, "uploadAfterImage": {"ramp", "image"}, "uploadAfterImageRow": {"ramp", "image"},
	"uploadDeleteAfterIntent": {"remove ramp", "remove image"}, "uploadDeleteAfterImage": {"remove ramp", "remove image"}, "uploadDeleteAfterBlobs": {"remove ramp", "remove image"},
}

// TestACrashAtAnyPointLeavesAWholePackageOrNone kills edged at every step between two whole states.
func TestACrashAtAnyPointLeavesAWholePackageOrNone(t *testing.T) {
	require.ElementsMatch(t, failpoints(t), slices.Collect(maps.Keys(crashes)), "the points in the source are those that are tested")
	dependency := packtest.Gzip(packtest.Tar(packtest.Plain("folder/file", []byte("x"))))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(dependency) }))
	t.Cleanup(server.Close)
	control := freeAddress(t)
	d := device.New(t, device.Options{
		Binary: filepath.Join(device.Repository(), "bin", "edged-failpoints"), Env: []string{"GOFAIL_HTTP=" + control},
		Config: config + fmt.Sprintf("dependency_hosts = [%q]\n", server.Listener.Addr().String()),
	})
	pushed(t, d, debianRedis(t))
	r := &crashRig{control: control, packages: map[string][]byte{
		"ramp": redisearch(t).Bytes(), "image": busybox(t, "registry.example/app:1"),
		"dependency": packtest.RAMP{Fields: map[string]any{"dependencies": map[string]any{"d": map[string]any{"url": server.URL, "sha256": packtest.SHA256(dependency)}}}}.Bytes(),
	}}
	for _, kind := range []string{"ramp", "image", "dependency"} { // what containerd keeps of the first of a kind is there from now on
		r.add(t, d, kind)
		r.removeAll(t, d)
	}
	r.clean = tracesOf(t, d)
	for _, point := range slices.Sorted(maps.Keys(crashes)) {
		for _, operation := range crashes[point] {
			if !t.Run(point+" "+operation, func(t *testing.T) { r.crash(t, d.For(t), point, operation) }) {
				return // the device is not what the next point expects
			}
		}
	}
}

type crashRig struct {
	control  string
	packages map[string][]byte
	clean    traces
}

// others are the packages beside the base.
func (r *crashRig) others(t *testing.T, d *device.Device) []wire.PackageModule {
	t.Helper()
	return slices.DeleteFunc(list(t, d), func(p wire.PackageModule) bool { return p.Edged.Image == redisImage })
}

// add uploads a package and waits until it is whole.
func (r *crashRig) add(t *testing.T, d *device.Device, kind string) wire.PackageModule {
	t.Helper()
	a := push(t, d, "v2", "module", r.packages[kind])
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var p wire.PackageModule
	d.Eventually("the package is whole", func() bool {
		all := r.others(t, d)
		if len(all) != 1 {
			return false
		}
		p = all[0]
		return p.Edged.ImagePending == ""
	})
	return p
}

func (r *crashRig) removeAll(t *testing.T, d *device.Device) {
	t.Helper()
	for _, p := range r.others(t, d) {
		a := ask(t, d, http.MethodDelete, "/v2/modules/"+p.UID, nil)
		require.Equal(t, http.StatusOK, a.Status, a.Body)
	}
}

func (r *crashRig) crash(t *testing.T, d *device.Device, point, operation string) {
	kind, removes := strings.CutPrefix(operation, "remove ")
	var uid string
	if removes {
		uid = r.add(t, d, kind).UID
	}
	req, err := http.NewRequest(http.MethodPut, "http://"+r.control+"/"+point, strings.NewReader("panic"))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	_ = res.Body.Close()
	require.Equal(t, http.StatusNoContent, res.StatusCode)
	method, path, kindOf := http.MethodDelete, "/v2/modules/"+uid, ""
	var body io.Reader
	if !removes {
		method, path = http.MethodPost, "/v2/modules"
		body, kindOf = form(t, "module", r.packages[kind])
	}
	done := make(chan struct{})
	go func() { // the answer never comes
		defer close(done)
		req, err := http.NewRequest(method, "http://edged"+path, body)
		if err != nil {
			return
		}
		req.Header.Set("Content-Type", kindOf)
		if res, err := device.UnixClient(d.Management()).Do(req); err == nil {
			_ = res.Body.Close()
		}
	}()
	<-d.Edged.Done()
	<-done
	require.NotZero(t, d.Edged.State().ExitCode(), "it crashed, so the point was hit")
	d.StartEdged()
	http.DefaultClient.CloseIdleConnections()
	d.Eventually("there is a whole package or none", func() bool {
		all := r.others(t, d)
		ops := slices.ContainsFunc(tracesOf(t, d).Leases, func(l string) bool { return strings.HasPrefix(l, "edged-op-package-") })
		return !ops && (len(all) == 0 || len(all) == 1 && all[0].Edged.ImagePending == "" && !removes)
	})
	require.Empty(t, names(t, filepath.Join(d.Home, "content", "ingest")))
	r.removeAll(t, d)
	r.add(t, d, kind)
	r.removeAll(t, d)
	require.Equal(t, r.clean, tracesOf(t, d), "nothing is left of it")
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// failpoints reads the names of those of packages from the source.
func failpoints(t *testing.T) []string {
	out, err := exec.Command("grep", "-rhoE", "--include=*.go", `gofail: var upload\w+`, filepath.Join(device.Repository(), "pkg")).Output()
	require.NoError(t, err)
	var names []string
	for _, m := range regexp.MustCompile(`var (\w+)`).FindAllStringSubmatch(string(out), -1) {
		names = append(names, m[1])
	}
	return names
}
