package mgmt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/modulelog"
)

func TestLogOptions(t *testing.T) {
	for query, want := range map[string]modulelog.Options{
		"":                        {Tail: -1},
		"&tail=all":               {Tail: -1},
		"&tail=10&follow=true":    {Tail: 10, Follow: true},
		"&timestamps=true&tail=0": {Timestamps: true},
		"&follow=false":           {Tail: -1},
		"&since=2026-01-02T03:04:05Z&until=1767323045": {
			Tail: -1, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Until: time.Unix(1767323045, 0),
		},
	} {
		f := newFixture(t)
		require.Equal(t, 200, f.ask("user", "GET", "/modules/target/logs"+v+query, "").Code, query)
		require.True(t, want.Since.Equal(f.logs.opt.Since) && want.Until.Equal(f.logs.opt.Until), "%s: %+v", query, f.logs.opt)
		want.Since, want.Until, f.logs.opt.Since, f.logs.opt.Until = time.Time{}, time.Time{}, time.Time{}, time.Time{}
		require.Equal(t, want, f.logs.opt, query)
	}
	f := newFixture(t)
	f.ask("user", "GET", "/modules/target/logs"+v+"&since=1h", "")
	require.WithinDuration(t, time.Now().Add(-time.Hour), f.logs.opt.Since, time.Minute)
}

func TestLogOptionsThatAreWrongAreNamed(t *testing.T) {
	for name, values := range map[string][]string{
		"tail": {"-1", "x", "", "1.5"}, "follow": {"yes", "1", ""}, "timestamps": {"TRUE"}, "since": {"yesterday-ish"}, "until": {"x"},
	} {
		for _, value := range values {
			w := newFixture(t).ask("user", "GET", "/modules/target/logs"+v+"&"+name+"="+value, "")
			require.Equal(t, 400, w.Code, "%s=%s", name, value)
			require.Equal(t, "invalid parameter: "+name, message(t, w))
		}
	}
}

func TestTheFramingIsTheConfigurationsOrTheClients(t *testing.T) {
	for _, tc := range []struct {
		docker      bool
		accept      string
		framing     modulelog.Framing
		contentType string
	}{
		{false, "", modulelog.Plain, "text/plain; charset=utf-8"},
		{true, "", modulelog.Docker, "text/plain; charset=utf-8"},
		{false, "application/json", modulelog.Plain, "text/plain; charset=utf-8"},
		{false, multiplexed, modulelog.Docker, multiplexed},
		{true, "text/plain, " + multiplexed, modulelog.Docker, multiplexed},
	} {
		f := newFixture(t)
		f.cfg.DockerFraming = tc.docker
		w := f.ask("user", "GET", "/modules/target/logs"+v, "", "Accept", tc.accept)
		require.Equal(t, tc.framing, f.logs.opt.Framing)
		require.Equal(t, tc.contentType, w.Header().Get("Content-Type"))
		require.Empty(t, w.Header().Get("Content-Length"))
	}
}

func TestEachFrameIsAChunk(t *testing.T) {
	f := newFixture(t)
	f.cfg.DockerFraming = true
	f.logs.pieces = []string{"\x01\x00\x00\x00\x00\x00\x00\x02a\n", "\x02\x00\x00\x00\x00\x00\x00\x03bb\n", "\x01\x00\x00\x00\x00\x00\x00\x02c\n"}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: f.serve("user"), ReadHeaderTimeout: time.Second}}
	server.Start()
	defer server.Close()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	require.NoError(t, err)
	defer c.Close()
	_, err = fmt.Fprintf(c, "GET /modules/target/logs%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", v)
	require.NoError(t, err)
	raw, err := io.ReadAll(c)
	require.NoError(t, err)
	_, chunked, ok := bytes.Cut(raw, []byte("\r\n\r\n"))
	require.True(t, ok)
	r := bufio.NewReader(bytes.NewReader(chunked))
	for _, want := range append(f.logs.pieces, "") {
		var size int
		_, err := fmt.Fscanf(r, "%x\r\n", &size)
		require.NoError(t, err)
		chunk := make([]byte, size+2)
		_, err = io.ReadFull(r, chunk)
		require.NoError(t, err)
		require.Equal(t, want+"\r\n", string(chunk))
	}
}

func TestALogThatBreaksIsCutOff(t *testing.T) {
	f := newFixture(t)
	f.logs.fail = errors.New("disk broken")
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { f.ask("user", "GET", "/modules/target/logs"+v, "") })
}

// TestAFollowedLogEndsWellAfterALongSilence holds the bug that the end of the answer was
// written under the deadline of the last line.
func TestAFollowedLogEndsWellAfterALongSilence(t *testing.T) {
	f := newFixture(t)
	f.logs.pieces, f.logs.silent = []string{"line\n"}, time.Hour
	synctest.Test(t, func(t *testing.T) {
		client, end := net.Pipe()
		server := &http.Server{Handler: f.serve("user"), ReadHeaderTimeout: time.Second}
		done := make(chan error, 1)
		go func() { done <- server.Serve(&oneConn{conn: end, done: make(chan struct{})}) }()
		go func() {
			_, _ = fmt.Fprintf(client, "GET /modules/target/logs%s&follow=true HTTP/1.1\r\nHost: x\r\n\r\n", v)
		}()
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "line\n", string(text))
		_ = client.Close()
		require.NoError(t, server.Close())
		<-done
	})
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	close(l.done)
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }
