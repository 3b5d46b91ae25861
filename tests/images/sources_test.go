package images

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

func TestMirrorsCertificatesAndProxies(t *testing.T) {
	origin := device.NewRegistryWith(t, device.RegistryOptions{Open: true})
	mirror := device.NewRegistryWith(t, device.RegistryOptions{Open: true})
	secure := device.NewRegistryWith(t, device.RegistryOptions{TLS: true})

	// A proxy that knows the way to a registry which no name server does.
	var mu sync.Mutex
	var proxied []string
	behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: origin.Address})
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		proxied = append(proxied, r.URL.Host)
		mu.Unlock()
		behind.ServeHTTP(w, r)
	}))
	defer proxy.Close()

	dir := t.TempDir()
	d := device.New(t, device.Options{
		NoAgent: true, Config: fmt.Sprintf("[images]\nregistry_dir = %q\n", dir),
		Env: []string{"HTTP_PROXY=" + proxy.URL, "NO_PROXY=direct.invalid"},
	})
	strip := func(r *device.Registry, ref string) string { return ref[len(r.Address):] }
	name := strip(origin, origin.Push(d, "app:1", 1))
	mirrored := strip(mirror, mirror.Push(d, "mirrored:1", 1))
	private := strip(secure, secure.Push(d, "private:1", 1))

	t.Run("a mirror is asked first", func(t *testing.T) {
		d := d.For(t)
		hosts(t, dir, "mirrored.invalid", fmt.Sprintf("server = \"http://%s\"\n[host.\"http://%s\"]\n", origin.Address, mirror.Address))
		pulled(t, d, "mirrored.invalid"+mirrored)
	})
	t.Run("a mirror that is down, or has not got it, is passed over", func(t *testing.T) {
		d := d.For(t)
		hosts(t, dir, "down.invalid", fmt.Sprintf("server = \"http://%s\"\n[host.\"http://127.0.0.1:1\"]\n[host.\"http://%s\"]\n", origin.Address, mirror.Address))
		pulled(t, d, "down.invalid"+name)
		a, _ := pull(t, d, wire.ImagePull{Image: "down.invalid/none:1"})
		require.Equal(t, http.StatusBadRequest, a.Status, "all have been asked, and who answered has it not: "+a.Body)
	})
	t.Run("a registry with a CA of its own", func(t *testing.T) {
		d := d.For(t)
		auth := &wire.Auth{Username: device.RegistryUser, Password: device.RegistryPassword}
		hosts(t, dir, secure.Address, fmt.Sprintf("server = \"https://%s\"\nskip_verify = false\n", secure.Address))
		a, _ := pull(t, d, wire.ImagePull{Image: secure.Address + private, Auth: auth})
		require.Equal(t, http.StatusServiceUnavailable, a.Status, a.Body)
		require.Contains(t, a.Body, "certificate")

		ca := filepath.Join(t.TempDir(), "ca.pem")
		require.NoError(t, os.WriteFile(ca, secure.CA, 0o644))
		hosts(t, dir, secure.Address, fmt.Sprintf("server = \"https://%s\"\nca = %q\n", secure.Address, ca))
		a, lines := pull(t, d, wire.ImagePull{Image: secure.Address + private, Auth: auth})
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		require.Equal(t, wire.PullDone, lines[len(lines)-1].Status, a.Body)
	})
	t.Run("a proxy from the environment", func(t *testing.T) {
		d := d.For(t)
		for _, registry := range []string{"proxied.invalid", "direct.invalid"} {
			hosts(t, dir, registry, fmt.Sprintf("server = \"http://%s\"\n", registry))
		}
		pulled(t, d, "proxied.invalid"+name)
		a, _ := pull(t, d, wire.ImagePull{Image: "direct.invalid" + name})
		require.Equal(t, http.StatusServiceUnavailable, a.Status, a.Body)
		mu.Lock()
		defer mu.Unlock()
		require.Contains(t, proxied, "proxied.invalid")
		require.NotContains(t, proxied, "direct.invalid")
	})
}
