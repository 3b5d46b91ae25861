package device

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
)

// RegistryUser and RegistryPassword open the test registry.
const (
	RegistryUser     = "reader"
	RegistryPassword = "s3cret"
	// registryHash is bcrypt of RegistryPassword.
	registryHash = "$2a$05$4vPYBss2FBuFQhDbkHNiy.WX48Lkh1Uo3M6Bs3S.3ltqKJj85HoMa"
)

// Registry is a real registry on loopback, with a line to it that can be broken.
type Registry struct {
	// Address is host:port, for references.
	Address string

	mu     sync.Mutex
	cutAt  int64 // bytes after which the next blob's line breaks; 0: never
	cuts   int
	served int64
	ranges []string
	down   bool
}

// NewRegistry starts a registry that asks for a password.
func NewRegistry(tb testing.TB) *Registry {
	dir := tb.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	backend := l.Addr().String()
	require.NoError(tb, l.Close())
	require.NoError(tb, os.WriteFile(filepath.Join(dir, "htpasswd"), []byte(RegistryUser+":"+registryHash+"\n"), 0o600))
	conf := fmt.Sprintf("version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: %s\nauth:\n  htpasswd:\n    realm: edge\n    path: %s\n",
		filepath.Join(dir, "data"), backend, filepath.Join(dir, "htpasswd"))
	require.NoError(tb, os.WriteFile(filepath.Join(dir, "config.yml"), []byte(conf), 0o600))
	p := start(tb, filepath.Join(dir, "log"), nil, "docker-registry", "serve", filepath.Join(dir, "config.yml"))
	tb.Cleanup(func() { p.Signal(syscall.SIGKILL) })
	r := &Registry{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: backend})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.serve(proxy, w, req) }))
	tb.Cleanup(server.Close)
	r.Address = server.Listener.Addr().String()
	(&Device{tb: tb}).Eventually("the registry answers", func() bool {
		res, err := http.Get("http://" + r.Address + "/v2/")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusUnauthorized
	})
	return r
}

func (r *Registry) serve(proxy http.Handler, w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	down, limit := r.down, int64(0)
	blob := req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/sha256:")
	if blob && r.cuts > 0 {
		r.cuts--
		limit = r.cutAt
	}
	if rng := req.Header.Get("Range"); blob && rng != "" {
		r.ranges = append(r.ranges, rng)
	}
	r.mu.Unlock()
	if down {
		panic(http.ErrAbortHandler)
	}
	proxy.ServeHTTP(&cutWriter{ResponseWriter: w, r: r, limit: limit, blob: blob}, req)
}

// cutWriter breaks the line when its limit is reached.
type cutWriter struct {
	http.ResponseWriter
	r     *Registry
	limit int64
	sent  int64
	blob  bool
}

func (w *cutWriter) Write(b []byte) (int, error) {
	if w.limit > 0 && w.sent >= w.limit {
		panic(http.ErrAbortHandler)
	}
	n, err := w.ResponseWriter.Write(b)
	w.sent += int64(n)
	if w.blob {
		w.r.mu.Lock()
		w.r.served += int64(n)
		w.r.mu.Unlock()
	}
	return n, err
}

// Break breaks the line of the next n blobs once after bytes.
func (r *Registry) Break(n int, after int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cuts, r.cutAt, r.served, r.ranges = n, after, 0, nil
}

// SetDown makes the registry unreachable, or reachable again.
func (r *Registry) SetDown(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

// Served is how many bytes of blobs were sent since Break, and the ranges asked for.
func (r *Registry) Served() (int64, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.served, r.ranges
}

// Push puts the probe's image, made larger by some random MiB, into the registry.
func (r *Registry) Push(d *Device, name string, mib int) string {
	d.tb.Helper()
	ref := r.Address + "/" + name
	image := ProbeImage(d.tb, ref)
	ballast := make([]byte, mib<<20)
	_, _ = rand.Read(ballast)
	image.Layers = append(image.Layers, archive.Layer{"/ballast": {Body: ballast}})
	file := filepath.Join(d.Root, "push.tar")
	f, err := os.Create(file)
	require.NoError(d.tb, err)
	require.NoError(d.tb, archive.Write(f, image))
	require.NoError(d.tb, f.Close())
	// In a namespace of its own: the device must not have it.
	ctr := func(args ...string) {
		out, err := exec.Command("ctr", append([]string{"-a", d.Address(), "-n", "push"}, args...)...).CombinedOutput()
		require.NoError(d.tb, err, string(out))
	}
	ctr("images", "import", file)
	ctr("images", "push", "--plain-http", "--user", RegistryUser+":"+RegistryPassword, ref)
	ctr("images", "rm", "--sync", ref)
	return ref
}
