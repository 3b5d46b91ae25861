package uploads

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/pkg/pack/packtest"
	"github.com/edged/edged/tests/device"
)

// TestRefusalsLeaveNothingBehind: whatever is wrong with a package, the device is after it
// as it was before.
func TestRefusalsLeaveNothingBehind(t *testing.T) {
	d := device.New(t, device.Options{Config: config})
	clean := tracesOf(t, d)
	t.Run("packages that are not sound", func(t *testing.T) { unsound(t, d.For(t), clean) })
	t.Run("before the body is sent", func(t *testing.T) { unsent(t, d.For(t)) })
	t.Run("a connection that is cut", func(t *testing.T) { cut(t, d.For(t)) })
	t.Run("a stock client", func(t *testing.T) { stockClient(t, d.For(t)) })
	t.Run("a module", func(t *testing.T) { byAModule(t, d.For(t)) })
	require.Equal(t, clean, tracesOf(t, d))
}

func unsound(t *testing.T, d *device.Device, clean traces) {
	field := func(name string, value any) []byte {
		return packtest.RAMP{Fields: map[string]any{name: value}}.Bytes()
	}
	header := func(name string) *zip.FileHeader { return &zip.FileHeader{Name: name} }
	link, secret := header("module.so"), header("module.so")
	link.SetMode(os.ModeSymlink | 0o777)
	secret.Flags = 1
	meta, library := packtest.RAMP{}.Metadata(), packtest.Library(64)
	sound := busybox(t, "registry.example/app:1")
	and := func(f packtest.File) []byte { return append(packtest.Tar(f)[:1024], sound...) }
	foreign := imageArchive(t, archive.Image{Ref: "app:1", Platform: ocispec.Platform{OS: "linux", Architecture: "s390x"}})
	damaged := bytes.Clone(sound)
	damaged[bytes.Index(damaged, []byte{0x1f, 0x8b})+100] ^= 1
	zeros := make([]byte, 80<<20)
	for name, tc := range map[string]struct {
		bytes []byte
		code  string
	}{
		"nothing":                   {nil, "no_module"},
		"text":                      {[]byte("no package at all"), "invalid_module"},
		"no module.json":            {packtest.RAMP{Files: map[string][]byte{"module.json": nil}}.Bytes(), "invalid_module"},
		"a wrong digest":            {field("sha256", strings.Repeat("0", 64)), "invalid_module"},
		"zip-slip":                  {packtest.RAMP{Files: map[string][]byte{"../../../etc/cron.d/x": []byte("x")}}.Bytes(), "invalid_module"},
		"a bomb":                    {packtest.RAMP{Library: packtest.Library(80 << 20)}.Bytes(), "invalid_module"},
		"a symbolic link":           {packtest.Zip([]*zip.FileHeader{header("module.json"), link}, meta, []byte("/etc/shadow")), "invalid_module"},
		"an encrypted file":         {packtest.Zip([]*zip.FileHeader{header("module.json"), secret}, meta, library), "invalid_module"},
		"a name twice":              {packtest.Zip([]*zip.FileHeader{header("module.json"), header("module.so"), header("module.so")}, meta, library, library), "invalid_module"},
		"no ELF":                    {packtest.RAMP{Library: bytes.Repeat([]byte("text"), 20)}.Bytes(), "invalid_module"},
		"another machine's ELF":     {field("architecture", "s390x"), "invalid_module"},
		"another system":            {field("os_list", []string{"rhel8"}), "os_not_supported"},
		"a newer pack":              {field("min_redis_pack_version", "7.4.2"), "min_redis_pack_version"},
		"missing capabilities":      {field("capabilities", []string{"flash"}), "unsupported_module_capabilities"},
		"dependencies":              {field("dependencies", map[string]any{"d": map[string]any{"url": "http://h.example/d", "sha256": strings.Repeat("a", 64)}}), "dependencies_not_supported"},
		"dependencies of no form":   {field("dependencies", 1), "dependencies_not_supported"},
		"an image of another kind":  {foreign, "os_not_supported"},
		"an image that is damaged":  {damaged, "invalid_module"},
		"an image that is cut off":  {sound[:len(sound)/2], "invalid_module"},
		"an archive that leaves":    {and(packtest.Plain("../../etc/passwd", []byte("x"))), "invalid_module"},
		"an archive with a link":    {and(packtest.File{Header: tar.Header{Name: "x", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}}), "invalid_module"},
		"an archive with a device":  {and(packtest.File{Header: tar.Header{Name: "x", Typeflag: tar.TypeBlock}}), "invalid_module"},
		"an archive that is a bomb": {packtest.Gzip(packtest.Tar(packtest.Plain("zeros", zeros))), "invalid_module"},
		"edged's own name":          {busybox(t, "edged.local/agent:1"), "invalid_module"},
	} {
		t.Run(name, func(t *testing.T) {
			a := push(t, d, "v1", "module", tc.bytes)
			require.Equal(t, http.StatusBadRequest, a.Status, a.Body)
			require.Equal(t, tc.code, a.Error.ErrorCode, a.Body)
			require.Equal(t, clean, tracesOf(t, d.For(t)))
		})
	}
	b := packtest.RAMP{}.Bytes()
	p := pushedAny(t, d, b)
	a := push(t, d, "v1", "module", packtest.RAMP{Library: packtest.Library(999)}.Bytes())
	require.Equal(t, []any{400, "module_exists"}, []any{a.Status, a.Error.ErrorCode})
	removed(t, d, p)
	require.Equal(t, clean, tracesOf(t, d))
}

// pushedAny uploads a package whose image may be pending, and returns its uid.
func pushedAny(t testing.TB, d *device.Device, b []byte) string {
	t.Helper()
	a := push(t, d, "v1", "module", b)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	return a.Module.UID
}

// unsent asks whether bodies are wanted: what is refused is not asked for.
func unsent(t *testing.T, d *device.Device) {
	ask := func(headers string) (status int, asked bool) {
		c, err := net.Dial("unix", d.Management())
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = fmt.Fprintf(c, "POST /v1/modules HTTP/1.1\r\nHost: edged\r\nExpect: 100-continue\r\n%s\r\n", headers)
		require.NoError(t, err)
		r := bufio.NewReader(c)
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		_, err = fmt.Sscanf(line, "HTTP/1.1 %d", &status)
		require.NoError(t, err)
		return status, status == http.StatusContinue
	}
	const form = "Content-Type: multipart/form-data; boundary=b\r\n"
	for headers, want := range map[string]int{
		form + "Content-Length: 100000\r\n":                              http.StatusContinue,
		form + "Transfer-Encoding: chunked\r\n":                          http.StatusContinue,
		form + fmt.Sprintf("Content-Length: %d\r\n", 65<<20):             http.StatusRequestEntityTooLarge,
		"Content-Type: application/json\r\nContent-Length: 100000\r\n":   http.StatusBadRequest,
		form + "X-Edged-Signature: no base64\r\nContent-Length: 100\r\n": http.StatusBadRequest,
	} {
		status, asked := ask(headers)
		require.Equal(t, want, status, headers)
		require.Equal(t, want == http.StatusContinue, asked)
	}
	// Chunked, nobody knows how large it is: it is cut off at the limit.
	r, w := io.Pipe()
	req, err := http.NewRequest(http.MethodPost, "http://edged/v1/modules", r)
	require.NoError(t, err)
	form2 := multipart.NewWriter(w)
	req.Header.Set("Content-Type", form2.FormDataContentType())
	go func() {
		part, _ := form2.CreateFormFile("module", "x")
		_, err := io.Copy(part, io.LimitReader(rand.Reader, 80<<20))
		_ = w.CloseWithError(err)
	}()
	res, err := device.UnixClient(d.Management()).Do(req)
	require.NoError(t, err)
	b, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode, string(b))
	require.Contains(t, string(b), `"error_code":"module_too_large"`)
}

// cut leaves in the middle of a body.
func cut(t *testing.T, d *device.Device) {
	body, kind := form(t, "module", bytes.Repeat([]byte("PK\x03\x04"), 1<<20))
	all, err := io.ReadAll(body)
	require.NoError(t, err)
	c, err := net.Dial("unix", d.Management())
	require.NoError(t, err)
	_, err = fmt.Fprintf(c, "POST /v1/modules HTTP/1.1\r\nHost: edged\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", kind, len(all))
	require.NoError(t, err)
	_, err = c.Write(all[:len(all)/2])
	require.NoError(t, err)
	d.Eventually("it is being received", func() bool { return len(names(t, filepath.Join(d.Home, "content", "ingest"))) == 1 })
	require.NoError(t, c.Close())
	d.Eventually("nothing is left of it", func() bool { return len(names(t, filepath.Join(d.Home, "content", "ingest"))) == 0 })
	require.Empty(t, list(t, d))
}

// stockClient is curl as scripts use it; above a MiB it asks before it sends.
func stockClient(t *testing.T, d *device.Device) {
	file := filepath.Join(t.TempDir(), "module.zip")
	library := packtest.Library(3 << 20)
	_, _ = rand.Read(library[64:])
	require.NoError(t, os.WriteFile(file, packtest.RAMP{Library: library}.Bytes(), 0o600))
	curl := func(args ...string) (status, body string) {
		out, err := exec.Command("curl", append([]string{"-sS", "-k", "-u", "admin:secret", "--unix-socket", d.Management(), "-w", "\n%{http_code} %{size_upload}"}, args...)...).Output()
		require.NoError(t, err)
		body, status, _ = strings.Cut(string(out), "\n")
		return status, body
	}
	status, body := curl("-F", "module=@"+file, "http://localhost/v1/modules")
	require.True(t, strings.HasPrefix(status, "200 "), status+body)
	require.Contains(t, body, `"module_name":"x"`)
	status, body = curl("-F", "module=@"+file, "http://localhost/v1/modules")
	require.True(t, strings.HasPrefix(status, "400 "), status+body)
	require.Contains(t, body, `"error_code":"module_exists"`)
	big := filepath.Join(t.TempDir(), "big.zip")
	require.NoError(t, os.WriteFile(big, nil, 0o600))
	require.NoError(t, os.Truncate(big, 70<<20))
	status, body = curl("-F", "module=@"+big, "http://localhost/v1/modules")
	require.Equal(t, "413 0", status, body)
	removed(t, d, list(t, d)[0].UID)
}

// byAModule shows that modules have no right to packages but by a grant.
func byAModule(t *testing.T, d *device.Device) {
	spec := d.Spec("plain")
	spec.Config.Settings.Management = true
	d.CreateAndStart(spec)
	p := d.Probe("plain")
	for _, call := range []device.Call{
		{Method: "GET", Path: "/v1/modules"},
		{Method: "POST", Path: "/v1/modules", Body: "x"},
		{Method: "POST", Path: "/v2/modules", Body: "x"},
		{Method: "DELETE", Path: "/v1/modules/x"},
		{Method: "GET", Path: "/v1/cluster/module-capabilities"},
	} {
		a := p.Call(call)
		require.Equal(t, http.StatusForbidden, a.Status, "%+v: %s", call, a.Body)
		require.JSONEq(t, `{"error_code":"forbidden","message":"forbidden","description":"forbidden"}`, a.Body)
	}
	require.Equal(t, http.StatusOK, d.Agent().Call(device.Call{Method: "GET", Path: "/v1/modules"}).Status)
	d.Delete("plain")
}

// TestAFullDiskTakesNoPackage: edged's home is a disk of its own, and a small one.
func TestAFullDiskTakesNoPackage(t *testing.T) {
	home := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", home, "tmpfs", 0, "size=48m"))
	t.Cleanup(func() { _ = syscall.Unmount(home, syscall.MNT_DETACH) })
	d := device.New(t, device.Options{Home: home, Config: "[uploads]\nmax_size = \"1GiB\"\nfree_floor = \"0B\"\n"})
	clean := tracesOf(t, d)
	library := packtest.Library(30 << 20)
	_, _ = rand.Read(library[64:])
	big := packtest.RAMP{Library: library, Store: true}.Bytes()
	a := push(t, d, "v1", "module", big)
	require.Equal(t, http.StatusInsufficientStorage, a.Status, "it says how large it is: "+a.Body)
	require.Equal(t, "insufficient_storage", a.Error.ErrorCode)
	require.Equal(t, clean, tracesOf(t, d))

	// One that does not say it fills the disk up.
	body, kind := form(t, "module", big)
	req, err := http.NewRequest(http.MethodPost, "http://edged/v1/modules", io.MultiReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", kind)
	res, err := device.UnixClient(d.Management()).Do(req)
	require.NoError(t, err)
	b, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	require.Equal(t, http.StatusInsufficientStorage, res.StatusCode, string(b))
	require.Contains(t, string(b), `"error_code":"insufficient_storage"`)
	require.Equal(t, clean, tracesOf(t, d))

	// The floor is refused before anything is read; what fits is taken.
	p := pushedAny(t, d, packtest.RAMP{Library: library[:4<<20], Store: true}.Bytes())
	removed(t, d, p)
	require.Equal(t, clean, tracesOf(t, d))
}
