package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/listen"
	"github.com/edged/edged/pkg/peer"
)

// silence is a client that connected and said nothing yet, and the sockets that took it in.
func silence(t *testing.T) (*sockets, net.Conn) {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	peers, err := peer.New(peer.Config{Table: peer.NewTable("edged-test")})
	require.NoError(t, err)
	t.Cleanup(peers.Close)
	d := &daemon{cfg: &config.Config{Run: t.TempDir()}, log: log, peers: peers, failed: make(chan error, 1)}
	s := newSockets(d)
	limits := httpapi.Limits{Body: 1 << 10, BodyRate: 1 << 10, Headers: 1 << 14, HeaderTimeout: time.Minute, IdleTimeout: time.Minute}
	s.handle(listen.Management, httpapi.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }), limits, log))

	path := filepath.Join(t.TempDir(), "mgmt.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	require.True(t, s.serve(listen.ModuleListener{Name: listen.Management, UnixListener: l}))
	require.NoError(t, s.start())
	conn, err := net.Dial("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.Eventually(t, func() bool {
		s.connections.mu.Lock()
		defer s.connections.mu.Unlock()
		return s.connections.open == 1
	}, 10*time.Second, time.Millisecond, "the connection is accepted")
	return s, conn
}

func TestStopAnswersRequestsOnConnectionsItAccepted(t *testing.T) {
	s, conn := silence(t)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.close(context.Background())
	}()
	require.Eventually(t, func() bool { // nobody is accepted any more: the stop is under way
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.closing && len(s.serving) == 0
	}, 10*time.Second, time.Millisecond)

	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: edged\r\n\r\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err, "the request is lost")
	defer func() { require.NoError(t, resp.Body.Close()) }()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.True(t, resp.Close, "the client is told not to ask again on this connection")
	<-closed
	require.Empty(t, s.d.failed, "a stop is no failure")
}

func TestSilentClientDoesNotHoldUpAStopForLong(t *testing.T) {
	s, conn := silence(t)
	begun := time.Now()
	s.close(context.Background())
	require.GreaterOrEqual(t, time.Since(begun), settle, "it had its time")
	require.Less(t, time.Since(begun), 3*time.Second, "http.Server by itself waits 5 s")
	_, err := conn.Read(make([]byte, 1))
	require.Error(t, err, "it was cut off then")
}
