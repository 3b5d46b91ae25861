package download

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnlyHostsOfTheConfigurationAreCalled(t *testing.T) {
	var called []string
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = append(called, "other") }))
	t.Cleanup(other.Close)
	var redirect string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called = append(called, r.URL.Path)
		switch r.URL.Path {
		case "/there":
			_, _ = io.WriteString(w, "bytes")
		case "/large":
			_, _ = io.WriteString(w, strings.Repeat("x", 2000))
		case "/moved":
			http.Redirect(w, r, redirect, http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/broken":
			w.WriteHeader(http.StatusBadGateway)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	f := New([]string{strings.TrimPrefix(server.URL, "http://"), "usual.example"})
	redirect = other.URL + "/there"
	for path, class := range map[string]error{
		server.URL + "/missing": errdefs.ErrNotFound, server.URL + "/broken": errdefs.ErrUnavailable, server.URL + "/large": errdefs.ErrInvalidArgument,
		server.URL + "/moved": errdefs.ErrInvalidArgument, server.URL + "/loop": errdefs.ErrUnavailable,
		other.URL + "/there": errdefs.ErrInvalidArgument, "file:///etc/passwd": errdefs.ErrInvalidArgument, "http://%": errdefs.ErrInvalidArgument, "": errdefs.ErrInvalidArgument,
		strings.Replace(server.URL, "http://", "http://user:secret@", 1) + "/there": errdefs.ErrInvalidArgument,
		"http://127.0.0.1:1/there": errdefs.ErrInvalidArgument,
	} {
		_, err := f.Fetch(t.Context(), path, 1000)
		require.ErrorIs(t, err, class, path)
		require.NotContains(t, err.Error(), "secret")
	}
	require.NotContains(t, called, "other", "neither at once nor by a redirect")
	redirect = server.URL + "/there"
	for _, path := range []string{"/there", "/moved"} {
		r, err := f.Fetch(t.Context(), server.URL+path, 1000)
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "bytes", string(b))
		require.NoError(t, r.Close())
	}
	_, err := New([]string{"127.0.0.1:1"}).Fetch(t.Context(), "http://127.0.0.1:1/", 1)
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
	u, err := http.NewRequest(http.MethodGet, "https://USUAL.example:443/x", nil)
	require.NoError(t, err)
	require.NoError(t, f.allowed(u.URL))
}
