// Package bundles tests bundles on a whole device: real ones from Debian packages and small
// ones that are compiled here, in the real framework in its container, over the socket.
package bundles

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
	"github.com/edged/edged/tests/osgi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const root = "/modules/api/bundles"

// rig is a device and what is asked of its bundles.
type rig struct {
	*device.Device
	t *testing.T
}

func (r *rig) sub(t *testing.T) *rig { return &rig{r.For(t), t} }

// part is one field of a form; file says whether it has a file's name.
type part struct {
	name string
	body []byte
	file bool
}

// field is a text in a form.
func field(name, value string) part { return part{name, []byte(value), false} }

// post sends a form.
func (r *rig) post(path string, parts ...part) device.Answer {
	r.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		create := w.CreateFormField
		if p.file {
			create = func(name string) (io.Writer, error) { return w.CreateFormFile(name, name+".jar") }
		}
		out, err := create(p.name)
		require.NoError(r.t, err)
		_, err = out.Write(p.body)
		require.NoError(r.t, err)
	}
	require.NoError(r.t, w.Close())
	res, err := device.UnixClient(r.Management()).Post("http://localhost"+path, w.FormDataContentType(), &b)
	require.NoError(r.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return device.Answer{Status: res.StatusCode, Header: res.Header, Body: string(text)}
}

// install posts bundles, and expects an answer without fault.
func (r *rig) install(start bool, bundles ...[]byte) {
	r.t.Helper()
	a := r.tryInstall(start, bundles...)
	require.Equal(r.t, http.StatusOK, a.Status, a.Body)
}

func (r *rig) tryInstall(start bool, bundles ...[]byte) device.Answer {
	r.t.Helper()
	parts := []part{field("start", fmt.Sprint(start))}
	for _, b := range bundles {
		parts = append(parts, part{"bundle", b, true})
	}
	return r.post(root, parts...)
}

// do does an operation, and expects an answer without fault.
func (r *rig) do(key, op string) {
	r.t.Helper()
	a := r.try(key, op)
	require.Equal(r.t, http.StatusOK, a.Status, a.Body)
}

func (r *rig) try(key, op string) device.Answer {
	r.t.Helper()
	return r.Host(http.MethodPost, root+"/"+key+"/_"+op, "")
}

// fault does an operation that the framework refuses, and returns why.
func (r *rig) fault(key, op string) string {
	r.t.Helper()
	return r.refused(r.try(key, op))
}

func (r *rig) refused(a device.Answer) string {
	r.t.Helper()
	var e wire.BundleError
	require.Equal(r.t, http.StatusInternalServerError, a.Status, a.Body)
	require.NoError(r.t, json.Unmarshal([]byte(a.Body), &e))
	require.NotEmpty(r.t, e.Cause, a.Body)
	return e.Cause
}

// state is that of a bundle.
func (r *rig) state(key string) string {
	r.t.Helper()
	a := r.Host(http.MethodGet, root+"/"+key+"/_localState", "")
	require.Equal(r.t, http.StatusOK, a.Status, a.Body)
	var s string
	require.NoError(r.t, json.Unmarshal([]byte(a.Body), &s))
	return s
}

// states are all, by key.
func (r *rig) states() map[string]string {
	r.t.Helper()
	a := r.Host(http.MethodGet, root+"/*/_localInfo", "")
	require.Equal(r.t, http.StatusOK, a.Status, a.Body)
	var all map[string]wire.BundleState
	require.NoError(r.t, json.Unmarshal([]byte(a.Body), &all))
	states := map[string]string{}
	for key, s := range all {
		states[key] = s.OSGiState
	}
	return states
}

// clear removes all bundles.
func (r *rig) clear() {
	r.t.Helper()
	for key := range r.states() {
		r.do(key, "uninstall")
	}
}

// jvm is the process id of the framework.
func (r *rig) jvm() int {
	r.t.Helper()
	pid := 0
	r.Eventually("the framework's process", func() bool {
		m, status := r.Get("osgiHost")
		if status != http.StatusOK || m.Status.RuntimeStatus.Status != "running" {
			return false
		}
		for _, c := range r.Containers("osgiHost-") {
			_, _ = fmt.Sscan(strings.TrimSpace(r.taskPID(c)), &pid)
		}
		return pid > 0
	})
	return pid
}

func (r *rig) taskPID(container string) string {
	for _, line := range strings.Split(r.Ctr("task", "ls"), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == container {
			return f[1]
		}
	}
	return ""
}

// killFramework kills it as the kernel does for want of memory, and waits until it is dead: a
// signal takes its time.
func (r *rig) killFramework() {
	r.t.Helper()
	pid := r.jvm()
	require.NoError(r.t, syscall.Kill(pid, syscall.SIGKILL))
	r.Eventually("it is dead", func() bool { return syscall.Kill(pid, 0) != nil })
}

// ---- bundles ----

// sources are the classes of the bundles that are made here, a package a bundle.
var sources = map[string]string{
	"article/Article.java":      `package article; public class Article { }`,
	"news/Activator.java":       activator("news", `new article.Article();`, ""),
	"good/Activator.java":       activator("good", `System.err.println("good starts");`, ""),
	"startfails/Activator.java": activator("startfails", `throw new IllegalStateException("outer", new java.io.IOException("the disk burns"));`, ""),
	"stopfails/Activator.java":  activator("stopfails", "", `throw new IllegalStateException("no stop");`),
	"hangs/Activator.java":      activator("hangs", `Thread.sleep(1_000_000);`, ""),
	"exits/Activator.java":      activator("exits", `Runtime.getRuntime().halt(3);`, ""),
	"counts/Activator.java": activator("counts", `
		java.io.File f = context.getDataFile("starts");
		java.nio.file.Files.writeString(f.toPath(), "x", java.nio.file.StandardOpenOption.CREATE, java.nio.file.StandardOpenOption.APPEND);
		System.err.println("started " + f.length() + " times");`, ""),
	"lazy/Lazy.java": `package lazy; public class Lazy { }`,
	"spies/Activator.java": activator("spies", `
		System.err.println("uid " + new java.io.BufferedReader(new java.io.FileReader("/proc/self/status")).lines().filter(l -> l.startsWith("Uid") || l.startsWith("CapEff") || l.startsWith("NoNewPrivs")).toList());
		try { java.nio.file.Files.writeString(java.nio.file.Path.of("/opt/written"), "x"); System.err.println("the root can be written"); } catch (java.io.IOException e) { System.err.println("the root is kept: " + e); }`, ""),
}

func activator(name, start, stop string) string {
	return `package ` + name + `; public class Activator implements org.osgi.framework.BundleActivator {
		public void start(org.osgi.framework.BundleContext context) throws Exception {` + start + ` }
		public void stop(org.osgi.framework.BundleContext context) throws Exception {` + stop + ` }
	}`
}

var once struct {
	sync.Once
	classes osgi.Classes
}

func classes(t *testing.T) osgi.Classes {
	once.Do(func() {
		once.classes = osgi.Compile(t, sources, osgi.Debian(t, "osgi.core"), osgi.Debian(t, "osgi.annotation"))
	})
	return once.classes
}

// active is a bundle with an activator, the package's that has its name.
func active(t *testing.T, name, version string, headers ...string) []byte {
	return osgi.Bundle(t, name, version, classes(t).Of(name), append([]string{"Bundle-Activator: " + name + ".Activator", "Import-Package: org.osgi.framework"}, headers...)...)
}

// article exports what news imports.
func article(t *testing.T, version string) []byte {
	return osgi.Bundle(t, "article", version, classes(t).Of("article"), "Export-Package: article;version="+osgiVersion(version), "Jahia-GroupId: org.jahia.modules", "Jahia-Module-Type: system")
}

// osgiVersion is what of a version stands in a package's: no qualifier.
func osgiVersion(version string) string {
	return strings.Join(strings.SplitN(version, ".", 4)[:3], ".")
}

func news(t *testing.T, version string) []byte {
	return osgi.Bundle(t, "news", version, classes(t).Of("news"), "Bundle-Activator: news.Activator",
		"Import-Package: org.osgi.framework,article", "Jahia-GroupId: org.jahia.modules", "Jahia-Module-Type: system")
}

func plain(t *testing.T, name, version string, headers ...string) []byte {
	return osgi.Bundle(t, name, version, nil, headers...)
}

func debian(t *testing.T, name string) []byte { return osgi.Read(t, osgi.Debian(t, name)) }

// file puts a bundle where a command finds it.
func file(t *testing.T, dir, name string, body []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, body, 0o600))
	return path
}
