package client_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers on a socket of the test and returns a client of it.
func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(h)
	require.NoError(t, server.Listener.Close())
	server.Listener = l
	server.Start()
	c, err := client.New("unix://" + path)
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		server.Close()
	})
	return c
}
