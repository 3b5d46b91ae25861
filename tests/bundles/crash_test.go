package bundles

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// crashes kills the framework, edged and containerd, each at once and in the middle of
// operations, and compares what is said then with what the next framework does.
func (r *rig) crashes() {
	r.install(true, article(r.t, "1.0.0"), news(r.t, "1.0.0"), active(r.t, "good", "1.0.0"))
	r.install(false, active(r.t, "counts", "1.0.0"))
	want := r.states()
	require.Equal(r.t, "ACTIVE", want["good/1.0.0"])
	stopped := want["counts/1.0.0"] // INSTALLED, or RESOLVED by now
	require.NotEqual(r.t, "ACTIVE", stopped)
	same := func(when string) {
		r.t.Helper()
		// A question that the framework's end catches on its way is one to repeat.
		r.Eventually("the question is answered", func() bool {
			a := r.Host(http.MethodGet, root+"/*/_localInfo", "")
			require.Contains(r.t, []int{http.StatusOK, http.StatusServiceUnavailable}, a.Status, a.Body)
			return a.Status == http.StatusOK
		})
		now := r.states()
		require.NotEqual(r.t, "ACTIVE", now["counts/1.0.0"], when)
		now["counts/1.0.0"] = stopped
		require.Equal(r.t, want, now, when)
	}
	for range 3 {
		old := r.jvm()
		require.NoError(r.t, syscall.Kill(old, syscall.SIGKILL))
		same("the framework was killed")
		require.NotEqual(r.t, old, r.jvm(), "it was told by another framework")
	}
	r.Edged.Signal(syscall.SIGKILL)
	pid := r.jvmWithoutEdged()
	r.StartEdged()
	same("edged was killed")
	require.Equal(r.t, pid, r.jvm(), "the framework ran on")
	r.Containerd.Signal(syscall.SIGKILL)
	same("containerd was killed")
	r.StartContainerd()
	same("containerd is back")

	for name, kill := range map[string]func(){
		"the framework": func() { _ = syscall.Kill(r.jvmWithoutEdged(), syscall.SIGKILL) },
		"edged":         func() { r.Edged.Signal(syscall.SIGKILL); r.StartEdged() },
		"containerd":    func() { r.Containerd.Signal(syscall.SIGKILL); r.StartContainerd() },
	} {
		r.inMidOperation(name, kill)
	}
}

// jvmWithoutEdged finds the framework's process by what containerd says alone.
func (r *rig) jvmWithoutEdged() int {
	r.t.Helper()
	pid := 0
	r.Eventually("there is a framework", func() bool {
		for _, c := range r.Containers("osgiHost-") {
			if _, err := fmt.Sscan(r.taskPID(c), &pid); err == nil {
				return true
			}
		}
		return false
	})
	return pid
}

// inMidOperation changes bundles without pause while something dies. Whatever was answered,
// afterwards the framework does what edged remembers, and edged says what the framework does.
func (r *rig) inMidOperation(name string, kill func()) {
	r.t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, ops := range [][]string{{"_stop", "_start"}, {"_refresh"}, {"_update"}} {
		wg.Go(func() {
			client := device.UnixClient(r.Management())
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				res, err := client.Post("http://localhost"+root+"/good/"+ops[i%len(ops)], "", nil)
				if err == nil {
					_ = res.Body.Close()
				}
			}
		})
	}
	for range 3 {
		time.Sleep(300 * time.Millisecond)
		kill()
	}
	close(stop)
	wg.Wait()
	r.do("good", "start")
	require.Equal(r.t, "ACTIVE", r.state("good/1.0.0"), "%s died", name)
	require.Equal(r.t, "ACTIVE", r.state("news/1.0.0"), "%s died", name)
	r.do("good", "stop")
	r.killFramework()
	require.NotEqual(r.t, "ACTIVE", r.state("good/1.0.0"), "%s died, and what was stopped stays so", name)
	r.do("good", "start")
}

// TestCrashesAtEveryStep lets edged die at each named point of what it does with bundles. The
// next start ends in a whole state, and the framework is what edged says.
func TestCrashesAtEveryStep(t *testing.T) {
	r := &rig{device.New(t, device.Options{OSGi: true, Binary: filepath.Join(device.Repository(), "bin", "edged-failpoints")}), t}
	r.install(true, article(t, "1.0.0"), news(t, "1.0.0"), active(t, "good", "1.0.0"))
	tried := 0
	for _, c := range []struct {
		point string
		do    func()
		// after is what may be true then, of the bundle "good".
		after []string
	}{
		{"bundleStartAfterWish", func() { r.fire("good/_start") }, []string{"ACTIVE"}},
		{"bundleStopAfterWish", func() { r.fire("good/_stop") }, []string{"RESOLVED", "INSTALLED"}},
		{"bundleInstallAfterBlobs", func() { r.push(active(t, "good", "1.0.0", "X: 1")) }, []string{"RESOLVED", "INSTALLED"}},
		{"bundleInstallAfterRows", func() { r.push(active(t, "good", "1.0.0", "X: 2")) }, []string{"RESOLVED", "INSTALLED"}},
		{"bundleInstallAfterFramework", func() { r.push(active(t, "good", "1.0.0", "X: 3")) }, []string{"RESOLVED", "INSTALLED"}},
		{"bundleUninstallBeforeRow", func() { r.fire("good/_uninstall") }, []string{"RESOLVED", "INSTALLED"}},
	} {
		tried++
		pid := r.jvm()
		r.Edged.Signal(syscall.SIGTERM)
		<-r.Edged.Done()
		r.SetEnv("GOFAIL_FAILPOINTS=" + c.point + "=panic")
		r.StartEdged()
		require.Equal(t, pid, r.jvm())
		c.do()
		<-r.Edged.Done()
		r.SetEnv()
		r.StartEdged()
		require.Contains(t, c.after, r.state("good/1.0.0"), c.point)
		require.Equal(t, "ACTIVE", r.state("news/1.0.0"), c.point)
		blobs, err := filepath.Glob(filepath.Join(r.Home, "content", "blobs", "sha256", "*"))
		require.NoError(t, err)
		require.Len(t, blobs, 3, "%s: no byte more than is needed", c.point)
	}
	r.do("good", "uninstall")
	require.Len(t, r.states(), 2)
	out, err := exec.Command("grep", "-rhoE", "--include=*.go", `gofail: var bundle\w+`, filepath.Join(device.Repository(), "pkg")).Output()
	require.NoError(t, err)
	require.Len(t, strings.Fields(strings.ReplaceAll(string(out), "gofail: var ", "")), tried, "every point in the source is tried")
}

// fire posts, and does not mind that there is no answer.
func (r *rig) fire(path string) {
	res, err := device.UnixClient(r.Management()).Post("http://localhost"+root+"/"+path, "", nil)
	if err == nil {
		_ = res.Body.Close()
	}
}

func (r *rig) push(b []byte) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	out, err := w.CreateFormFile("bundle", "b.jar")
	require.NoError(r.t, err)
	_, err = out.Write(b)
	require.NoError(r.t, err)
	require.NoError(r.t, w.Close())
	res, err := http.NewRequest(http.MethodPost, "http://localhost"+root, &body)
	require.NoError(r.t, err)
	res.Header.Set("Content-Type", w.FormDataContentType())
	if a, err := device.UnixClient(r.Management()).Do(res); err == nil {
		_ = a.Body.Close()
	}
}
