// Package uploads tests packages on a real device: real images, a real Redis module, and
// what is left behind when they are refused, cut off or killed.
package uploads

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/pack/packtest"
	"github.com/edged/edged/tests/device"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answer is what came of a request to the API of packages.
type answer struct {
	Status int
	Body   string
	Error  wire.PackageError
	Module wire.PackageAdded
}

// form is a multipart body with these parts, two arguments each.
func form(t testing.TB, parts ...any) (io.Reader, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		f, err := w.CreateFormFile(parts[i].(string), "file")
		require.NoError(t, err)
		_, err = f.Write(parts[i+1].([]byte))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return &b, w.FormDataContentType()
}

func ask(t testing.TB, d *device.Device, method, path string, body io.Reader, header ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, "http://edged"+path, body)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := device.UnixClient(d.Management()).Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	a := answer{Status: res.StatusCode, Body: string(b)}
	if res.StatusCode == http.StatusOK {
		_ = json.Unmarshal(b, &a.Module) // a list is none
	} else {
		require.NoError(t, json.Unmarshal(b, &a.Error), a.Body)
		require.Equal(t, a.Error.Message, a.Error.Description)
		require.NotEmpty(t, a.Error.ErrorCode, a.Body)
	}
	return a
}

// push uploads a package to a version of the API.
func push(t testing.TB, d *device.Device, version string, parts ...any) answer {
	t.Helper()
	body, kind := form(t, parts...)
	return ask(t, d, http.MethodPost, "/"+version+"/modules", body, "Content-Type", kind)
}

// pushed wants an upload to succeed.
func pushed(t testing.TB, d *device.Device, b []byte) wire.PackageModule {
	t.Helper()
	a := push(t, d, "v1", "module", b)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.Empty(t, a.Module.Edged.ImagePending)
	return a.Module.PackageModule
}

func list(t testing.TB, d *device.Device) []wire.PackageModule {
	t.Helper()
	a := ask(t, d, http.MethodGet, "/v1/modules", nil)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var all []wire.PackageModule
	require.NoError(t, json.Unmarshal([]byte(a.Body), &all))
	require.NotNil(t, all, "an empty list is one")
	return all
}

// cataloged are the builds that the catalog finds for a query.
func cataloged(t testing.TB, d *device.Device, query string) []wire.Build {
	t.Helper()
	a := d.Host(http.MethodGet, "/rest_api/v1/modules/?page_size=-1&"+query, "")
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var all []wire.Build
	require.NoError(t, json.Unmarshal([]byte(a.Body), &all))
	return all
}

func remove(t testing.TB, d *device.Device, uid string) answer {
	t.Helper()
	return ask(t, d, http.MethodDelete, "/v1/modules/"+uid, nil)
}

func removed(t testing.TB, d *device.Device, uid string) {
	t.Helper()
	a := remove(t, d, uid)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
}

// traces are all that packages leave on a device: what is to be the same after a refusal.
type traces struct {
	Blobs, Ingests, Rows, Images, Leases []string
	Contents, Snapshots                  int
}

func tracesOf(t testing.TB, d *device.Device) traces {
	t.Helper()
	tr := traces{Blobs: names(t, filepath.Join(d.Home, "content", "blobs", "sha256")), Ingests: names(t, filepath.Join(d.Home, "content", "ingest"))}
	// A copy, so that nothing is changed; the log of what is not in it yet belongs to it.
	copied := filepath.Join(t.TempDir(), "edged.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(filepath.Join(d.Home, "edged.db"+suffix))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(copied+suffix, b, 0o600))
	}
	tr.Rows = rows(t, copied)
	looksInside := func() bool { return strings.Contains(d.Ctr("leases", "ls", "-q"), "inside-") }
	d.Eventually("nobody looks into an image, before and after", func() bool {
		if looksInside() {
			return false
		}
		// What nothing refers to any more goes now, not when containerd comes to it.
		d.Ctr("leases", "create", "--id", "collect")
		d.Ctr("leases", "delete", "--sync", "collect")
		tr.Images, tr.Leases = strings.Fields(d.Ctr("images", "ls", "-q")), nil
		for line := range strings.Lines(d.Ctr("leases", "ls")) {
			if f := strings.Fields(line); len(f) > 0 && f[0] != "ID" {
				tr.Leases = append(tr.Leases, f[0])
			}
		}
		tr.Contents = strings.Count(d.Ctr("content", "ls", "-q"), "\n")
		tr.Snapshots = strings.Count(d.Ctr("snapshots", "ls"), "\n")
		return !looksInside()
	})
	slices.Sort(tr.Images)
	slices.Sort(tr.Leases)
	return tr
}

func names(t testing.TB, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// busybox is an archive of an image that modules are made of.
func busybox(t testing.TB, ref string) []byte { return busyboxWith(t, ref, ref) }

// busyboxWith has a layer that is the same where the marker is.
func busyboxWith(t testing.TB, ref, marker string) []byte {
	t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	require.NoError(t, err, "busybox-static is installed by make deps")
	return imageArchive(t, archive.Image{
		Ref: ref, Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}, Compress: true,
		Config: ocispec.ImageConfig{Cmd: []string{"/bin/busybox", "sleep", "1000"}, StopSignal: "SIGKILL", Env: []string{"REF=" + ref}},
		Layers: []archive.Layer{{"/bin/busybox": {Body: program, Mode: 0o755}, "/etc/marker": {Body: []byte(marker)}}},
	})
}

func imageArchive(t testing.TB, images ...archive.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, archive.Write(&b, images...))
	return b.Bytes()
}

// redisImage is what [uploads] redis_image is in these tests: Debian's server, and the
// libraries that it is linked with.
const redisImage = "debian.example/redis:7"

// debianRedis packs the machine's own files as an image.
func debianRedis(t testing.TB) []byte {
	t.Helper()
	const program = "/usr/bin/redis-check-rdb" // what Debian's redis-server is a link to
	layer := archive.Layer{"/tmp": {Mode: os.ModeDir | os.ModeSticky | 0o777}, "/data": {Mode: os.ModeDir | 0o777}}
	put := func(path, as string) {
		b, err := os.ReadFile(path)
		require.NoError(t, err, "redis-tools is installed by make deps-test")
		layer[as] = archive.File{Body: b, Mode: 0o755}
	}
	put(program, "/usr/bin/redis-server")
	require.FileExists(t, redisearchFile, "make deps-test fetches it")
	out, err := exec.Command("ldd", program, redisearchFile).Output()
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`(/\S+) \(0x`).FindAllStringSubmatch(string(out), -1) {
		put(m[1], m[1])
	}
	return imageArchive(t, archive.Image{
		Ref: redisImage, Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}, Compress: true,
		Config: ocispec.ImageConfig{
			Entrypoint: []string{"/usr/bin/redis-server"}, Cmd: []string{"--port", "0", "--unixsocket", "/probe/redis.sock", "--unixsocketperm", "777", "--save", ""}, WorkingDir: "/data",
		},
		Layers: []archive.Layer{layer},
	})
}

// redisearchFile is Debian's module.
var redisearchFile = filepath.Join(device.Repository(), "build", "debian", "redisearch.so")

// redisearch packs Debian's module as the packer of Redis modules does.
func redisearch(t testing.TB) packtest.RAMP {
	t.Helper()
	library, err := os.ReadFile(redisearchFile)
	require.NoError(t, err, "make deps-test fetches it")
	return packtest.RAMP{
		File: "redisearch.so", Library: library,
		Fields: map[string]any{
			"module_name": "ft", "version": 10202.0, "semantic_version": "1.2.2", "display_name": "RediSearch", "command_line_args": "MAXEXPANSIONS 300",
			"capabilities": []string{"types", "replica_of", "failover_migrate", "persistence_aof", "persistence_rdb"}, "min_redis_version": "5.0", "min_redis_pack_version": "5.4",
		},
	}
}

// module describes a module of an image that is here; its folder /probe is shared with the test.
func module(d *device.Device, name, image string) wire.ModuleSpec {
	spec := d.Spec(name)
	spec.Config.Settings.Image = image
	return spec
}

// redis asks a server in a module for something, in its own protocol.
func redis(t testing.TB, d *device.Device, name, command string) string {
	t.Helper()
	var answer string
	d.Eventually("redis in "+name+" answers", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(d.ProbeDir(name), "redis.sock"))
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = fmt.Fprintf(c, "%s\r\nQUIT\r\n", command)
		b, err := io.ReadAll(c)
		answer = string(b)
		return err == nil && !strings.HasPrefix(answer, "-LOADING")
	})
	return answer
}
