package device

import (
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path"
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
	// CA is the certificate of a registry with TLS, in PEM.
	CA []byte

	backend string // host:port of the registry itself

	mu     sync.Mutex
	cutAt  int64 // bytes after which the next blob's line breaks; 0: never
	cuts   int
	served int64
	ranges []string
	down   bool
	asked  int            // requests of any kind since Break
	blobs  map[string]int // whole blobs that were asked for since Break, by digest

	refuse, refusals int           // status, and how many requests are still answered with it
	pauseAt          int64         // bytes after which blobs wait
	resume           chan struct{} // closed when they go on
}

// RegistryOptions change how a registry is made.
type RegistryOptions struct {
	// Open asks for no password.
	Open bool
	// TLS with a certificate of its own CA.
	TLS bool
	// Inside is a device with a network of its own: the registry is on its loopback.
	Inside *Device
}

// NewRegistry starts a registry that asks for a password.
func NewRegistry(tb testing.TB) *Registry { return NewRegistryWith(tb, RegistryOptions{}) }

// NewRegistryWith starts a registry.
func NewRegistryWith(tb testing.TB, opt RegistryOptions) *Registry {
	dir := tb.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	backend := l.Addr().String()
	require.NoError(tb, l.Close())
	require.NoError(tb, os.WriteFile(filepath.Join(dir, "htpasswd"), []byte(RegistryUser+":"+registryHash+"\n"), 0o600))
	conf := fmt.Sprintf("version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: %s\n", filepath.Join(dir, "data"), backend)
	want := http.StatusOK
	if !opt.Open {
		conf += fmt.Sprintf("auth:\n  htpasswd:\n    realm: edge\n    path: %s\n", filepath.Join(dir, "htpasswd"))
		want = http.StatusUnauthorized
	}
	require.NoError(tb, os.WriteFile(filepath.Join(dir, "config.yml"), []byte(conf), 0o600))
	p := start(tb, filepath.Join(dir, "log"), nil, nil, "docker-registry", "serve", filepath.Join(dir, "config.yml"))
	tb.Cleanup(func() { p.Signal(syscall.SIGKILL) })
	r := &Registry{backend: backend, blobs: map[string]int{}}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: backend})
	proxy.ErrorLog = log.New(io.Discard, "", 0) // it is not up at once, and clients leave
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.serve(proxy, w, req) }))
	server.Config.ErrorLog = proxy.ErrorLog // of clients that trust another CA
	if opt.Inside != nil {
		_ = server.Listener.Close()
		server.Listener, err = opt.Inside.Listen("tcp", "127.0.0.1:0")
		require.NoError(tb, err)
	}
	if opt.TLS {
		server.StartTLS()
		r.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	} else {
		server.Start()
	}
	tb.Cleanup(func() {
		r.Resume()
		server.Close()
	})
	r.Address = server.Listener.Addr().String()
	client := server.Client()
	if opt.Inside != nil {
		client.Transport.(*http.Transport).DialContext = opt.Inside.Dial
	}
	(&Device{tb: tb}).Eventually("the registry answers", func() bool {
		res, err := client.Get(server.URL + "/v2/")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == want
	})
	return r
}

func (r *Registry) serve(proxy http.Handler, w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.asked++
	if r.refusals > 0 {
		r.refusals--
		status := r.refuse
		r.mu.Unlock()
		w.WriteHeader(status)
		return
	}
	down, limit := r.down, int64(0)
	blob := req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/sha256:")
	if blob && r.cuts > 0 {
		r.cuts--
		limit = r.cutAt
	}
	if rng := req.Header.Get("Range"); blob && rng != "" {
		r.ranges = append(r.ranges, rng)
	} else if blob {
		r.blobs[path.Base(req.URL.Path)]++
	}
	pauseAt, resume := r.pauseAt, r.resume
	r.mu.Unlock()
	if down {
		panic(http.ErrAbortHandler)
	}
	proxy.ServeHTTP(&cutWriter{ResponseWriter: w, r: r, limit: limit, blob: blob, pauseAt: pauseAt, resume: resume}, req)
}

// cutWriter breaks the line when its limit is reached.
type cutWriter struct {
	http.ResponseWriter
	r     *Registry
	limit int64
	sent  int64
	blob  bool

	pauseAt int64
	resume  chan struct{}
}

func (w *cutWriter) Write(b []byte) (int, error) {
	if w.limit > 0 && w.sent >= w.limit {
		panic(http.ErrAbortHandler)
	}
	if w.blob && w.resume != nil && w.sent+int64(len(b)) > w.pauseAt {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		<-w.resume
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
	r.asked, r.blobs = 0, map[string]int{}
}

// Pause makes blobs wait after so many bytes, until Resume.
func (r *Registry) Pause(after int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pauseAt, r.resume = after, make(chan struct{})
}

// Resume lets blobs come that wait.
func (r *Registry) Resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resume != nil {
		close(r.resume)
		r.resume = nil
	}
}

// Refuse answers the next n requests with a status.
func (r *Registry) Refuse(n, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusals, r.refuse = n, status
}

// Asked is how many requests of any kind came since Break, and how often each blob was
// asked for from its beginning.
func (r *Registry) Asked() (int, map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked, maps.Clone(r.blobs)
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
	return r.PushLayers(d, name, Ballast(mib))
}

// Ballast is random MiB, which no compression makes smaller.
func Ballast(mib int) []byte {
	ballast := make([]byte, mib<<20)
	_, _ = rand.Read(ballast)
	return ballast
}

// PushLayers puts the probe's image with further layers into the registry.
func (r *Registry) PushLayers(d *Device, name string, ballast ...[]byte) string {
	d.tb.Helper()
	ref := r.Address + "/" + name
	image := ProbeImage(d.tb, ref)
	for i, b := range ballast {
		image.Layers = append(image.Layers, archive.Layer{fmt.Sprintf("/ballast%d", i): {Body: b}})
	}
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
	ctr("images", "push", "--plain-http", "--user", RegistryUser+":"+RegistryPassword, r.backend+"/"+name, ref)
	ctr("images", "rm", "--sync", ref)
	return ref
}
