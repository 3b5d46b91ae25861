package uploads

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/pack/packtest"
	"github.com/edged/edged/tests/device"
)

// edgectl runs the operator's program.
func edgectl(d *device.Device, args ...string) (out, errs string, code int) {
	return run(filepath.Join(device.Repository(), "bin", "edgectl"), append([]string{"--host", d.Management()}, args...)...)
}

func run(program string, args ...string) (out, errs string, code int) {
	cmd := exec.Command(program, args...)
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	_ = cmd.Run()
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// TestOperatorsBringPackages is the way of a package by the operator's own means: signed
// by the usual tool, verified, brought from a folder, listed and removed.
func TestOperatorsBringPackages(t *testing.T) {
	folder := t.TempDir()
	trust := filepath.Join(folder, "trust.d")
	require.NoError(t, os.Mkdir(trust, 0o755))
	key := filepath.Join(folder, "key")
	_, errs, code := run("minisign", "-G", "-W", "-p", filepath.Join(trust, "release.pub"), "-s", key)
	require.Zero(t, code, errs)
	dependency := packtest.Gzip(packtest.Tar(packtest.Plain("folder/file", []byte("x"))))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(dependency) }))
	t.Cleanup(server.Close)
	d := device.New(t, device.Options{Config: config + fmt.Sprintf("signature_ramp = \"require\"\nsignature_image = \"warn\"\ntrust_dir = %q\ndependency_hosts = [%q]\n", trust, server.Listener.Addr().String())})
	clean := tracesOf(t, d)
	media := filepath.Join(folder, "media")
	require.NoError(t, os.Mkdir(media, 0o755))
	put := func(name string, b []byte) string {
		file := filepath.Join(media, name)
		require.NoError(t, os.WriteFile(file, b, 0o644))
		return file
	}
	sign := func(file, comment string) {
		out, errs, code := run("minisign", "-S", "-W", "-s", key, "-m", file, "-t", comment)
		require.Zero(t, code, out+errs)
	}
	put("1-redis.tar", debianRedis(t))
	search := put("2-search.zip", redisearch(t).Bytes())
	withDep := put("3-dep.zip", packtest.RAMP{Fields: map[string]any{"module_name": "dep", "dependencies": map[string]any{"d": map[string]any{"url": server.URL, "sha256": packtest.SHA256(dependency)}}}}.Bytes())

	out, errs, code := edgectl(d, "package", "push", media)
	require.Equal(t, 1, code)
	require.Contains(t, out, redisImage)
	require.Contains(t, errs, "2-search.zip: the package is not signed")
	require.Contains(t, d.EdgedLog(), "would be refused if signatures were required", "of the image")
	sign(search, "counter:7")
	sign(withDep, "counter:1")
	for _, file := range []string{search, withDep} {
		out, errs, code = run(filepath.Join(device.Repository(), "bin", "edgectl"), "verify", "--trust-dir", trust, file)
		require.Zero(t, code, errs)
		require.Contains(t, out, "signed by")
	}
	out, errs, code = edgectl(d, "package", "push", "--skip-existing", media)
	require.Zero(t, code, errs)
	require.Contains(t, errs, "1-redis.tar: passed over")
	require.Contains(t, out, "edged.local/ramp/ft:1.2.2")
	require.Contains(t, out, "edged.local/ramp/dep:1.2.3")

	d.Create(module(d, "needy", "edged.local/ramp/dep:1.2.3"))
	d.Eventually("the catalog says who needs what the package needs", func() bool {
		out, errs, code := edgectl(d, "catalog", "search", "--needs", "d", "--active", "--format", "{{.Name}} {{.Modules}} {{.Why}} {{.Image}}")
		require.Zero(t, code, errs)
		return out == "dep [needy] [d:none] edged.local/ramp/dep:1.2.3\n"
	})
	d.Delete("needy")

	out, errs, code = edgectl(d, "package", "list", "--format", "{{.ModuleName}} {{.Edged.Image}} {{.Edged.SignedBy}}")
	require.Zero(t, code, errs)
	require.Len(t, strings.Fields(strings.Split(out, "\n")[2]), 3, out)
	table, _, _ := edgectl(d, "package", "list")
	require.Contains(t, table, "edged.local/ramp/ft:1.2.2")
	images, _, _ := edgectl(d, "images")
	require.Contains(t, images, "package", "why they are kept")

	d.CreateAndStart(module(d, "search", "edged.local/ramp/ft:1.2.2"))
	require.Contains(t, redis(t, d, "search", "MODULE LIST"), "ft")
	_, errs, code = edgectl(d, "package", "rm", "ft")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "search")
	d.Delete("search")
	_, errs, code = edgectl(d, "package", "rm", "ft:1.2.2", "dep", "none")
	require.Equal(t, 3, code, errs)

	// An old one is not taken again, whoever has kept it; signed anew it is.
	old := search + ".minisig"
	sign(search, "counter:8")
	_, errs, code = edgectl(d, "package", "push", search)
	require.Zero(t, code, errs)
	_, _, code = edgectl(d, "package", "rm", "ft")
	require.Zero(t, code)
	sign(search, "counter:7")
	_, errs, code = edgectl(d, "package", "push", "--signature", old, search)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "number 7")
	d.Edged.Signal(syscall.SIGTERM)
	d.StartEdged()
	_, _, code = edgectl(d, "package", "push", search)
	require.Equal(t, 1, code, "it is remembered")
	_, errs, code = edgectl(d, "package", "rm", "debian.example/redis")
	require.Zero(t, code, errs)
	require.Equal(t, clean, tracesOf(t, d))
}

// TestPackagesComeInWhileContainerdIsAway and become images when it is back.
func TestPackagesComeInWhileContainerdIsAway(t *testing.T) {
	d := device.New(t, device.Options{Config: config})
	clean := tracesOf(t, d)
	d.Containerd.Signal(syscall.SIGKILL)
	a := push(t, d, "v1", "module", busybox(t, "registry.example/app:1"))
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.Contains(t, a.Module.Edged.ImagePending, "cannot make image registry.example/app:1: ")
	refused := remove(t, d, a.Module.UID)
	require.Equal(t, []any{503, "service_unavailable"}, []any{refused.Status, refused.Error.ErrorCode}, refused.Body)
	require.Len(t, list(t, d), 1)
	d.StartContainerd()
	d.Edged.Signal(syscall.SIGKILL)
	d.StartEdged()
	d.Eventually("its image is made", func() bool { return list(t, d)[0].Edged.ImagePending == "" })
	d.CreateAndStart(module(d, "box", "registry.example/app:1"))
	d.WaitFor("box", "running")
	d.Delete("box")

	// containerd loses all it has: what has no bytes here any more is no package.
	d.Edged.Signal(syscall.SIGKILL)
	d.Containerd.Signal(syscall.SIGKILL)
	d.KillShims()
	d.Wipe()
	d.StartContainerd()
	d.StartEdged()
	d.Eventually("the package is gone, as its image", func() bool { return len(list(t, d)) == 0 })
	d.WaitFor("edgeAgent", "running")
	require.Equal(t, clean.Rows, tracesOf(t, d).Rows)
}

// TestAPullDoesNotTakeAPackagesImage although it takes its name.
func TestAPullDoesNotTakeAPackagesImage(t *testing.T) {
	d := device.New(t, device.Options{Config: config})
	registry := device.NewRegistryWith(t, device.RegistryOptions{Open: true})
	ref := registry.Push(d, "app:1", 1)
	p := pushed(t, d, busybox(t, ref))
	require.Equal(t, ref, p.Edged.Image)
	pull := d.Host(http.MethodPost, "/images/pull?"+device.Version, `{"image":"`+ref+`"}`)
	require.Contains(t, pull.Body, `"status":"pulled"`)
	named := d.Ctr("images", "ls")
	require.NotContains(t, named, p.SHA256)
	require.Contains(t, d.Ctr("content", "ls", "-q"), p.SHA256, "it is kept for the package")
	require.Len(t, list(t, d), 1)
	removed(t, d, p.UID)
	require.Equal(t, named, d.Ctr("images", "ls"), "the name is the pulled image's")
	require.NotContains(t, d.Ctr("content", "ls", "-q"), p.SHA256)
}
