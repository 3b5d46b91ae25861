package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/access"
)

var testLimits = Limits{Body: 1 << 20, BodyRate: 1024, Headers: 64 << 10, HeaderTimeout: 3 * time.Second, IdleTimeout: 30 * time.Second}

// pipes is a listener whose connections live in the bubble of a test.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// limited runs a test against a server in a bubble of its own time.
func limited(t *testing.T, h http.Handler, f func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := logrus.New()
		log.SetOutput(io.Discard)
		p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		server := NewServer(h, testLimits, log)
		served := make(chan error, 1)
		go func() { served <- server.Serve(RepairHosts(p)) }()
		var open []net.Conn
		defer func() {
			for _, c := range open {
				_ = c.Close()
			}
			_ = server.Close()
			<-served
			time.Sleep(time.Second) // of the bubble: connections end
		}()
		f(t, func() net.Conn {
			client, end := net.Pipe()
			open = append(open, client)
			p.conns <- end
			return client
		})
	})
}

// swallow reads the body as JSON and says how that went.
func swallow(t *testing.T) http.Handler {
	return mountFor(t, host(1000), Route{Method: http.MethodPost, Path: "/things", Rule: access.Known, Handle: func(w http.ResponseWriter, r *Request) error {
		var v any
		if err := r.JSON(&v); err != nil {
			return err
		}
		WriteJSON(w, http.StatusOK, v)
		return nil
	}}, Route{Method: http.MethodPost, Path: "/refused", Rule: access.Agent, Handle: func(http.ResponseWriter, *Request) error { return nil }})
}

// status waits for the answer's status and for the end of the connection; 0 is an end without an answer.
func status(c net.Conn) int {
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestAHeadHasItsTime(t *testing.T) {
	for _, begun := range []string{"", "GET /things HTTP/1.1\r\nHost: x\r\n", "GET /things HTTP/1.1\r\nHost: /a/path\r\n"} {
		limited(t, swallow(t), func(t *testing.T, dial func() net.Conn) {
			at := time.Now()
			c := dial()
			if begun != "" {
				_, err := io.WriteString(c, begun)
				require.NoError(t, err)
			}
			_, err := io.Copy(io.Discard, c)
			require.NoError(t, err)
			require.Equal(t, 3*time.Second, time.Since(at))
		})
	}
}

func TestAHeadThatDripsHasNoMoreTime(t *testing.T) {
	limited(t, swallow(t), func(t *testing.T, dial func() net.Conn) {
		at := time.Now()
		c := dial()
		go func() {
			for range 1000 {
				if _, err := io.WriteString(c, "G"); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
		_, _ = io.Copy(io.Discard, c)
		require.Equal(t, 3*time.Second, time.Since(at))
	})
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	limited(t, swallow(t), func(t *testing.T, dial func() net.Conn) {
		c := dial()
		r := bufio.NewReader(c)
		for range 3 {
			_, err := io.WriteString(c, "POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1")
			require.NoError(t, err)
			resp, err := http.ReadResponse(r, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			time.Sleep(29 * time.Second)
		}
		_, err := r.ReadByte()
		require.ErrorIs(t, err, io.EOF)
	})
}

// TestHeadersAreBoundedWhereItIsSaid and not some kilobytes later.
func TestHeadersAreBoundedWhereItIsSaid(t *testing.T) {
	const begin, end = "POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nX: ", "\r\n\r\n"
	for size, want := range map[int]int{
		testLimits.Headers - 100: http.StatusOK, testLimits.Headers: http.StatusOK,
		testLimits.Headers + 1: http.StatusRequestHeaderFieldsTooLarge, testLimits.Headers + 2<<10: http.StatusRequestHeaderFieldsTooLarge,
	} {
		limited(t, swallow(t), func(t *testing.T, dial func() net.Conn) {
			c := dial()
			go func() { _, _ = io.WriteString(c, begin+strings.Repeat("x", size-len(begin+end))+end+"1") }()
			require.Equal(t, want, status(c), size)
		})
	}
}

func TestABodyThatDripsIsCutOff(t *testing.T) {
	limited(t, swallow(t), func(t *testing.T, dial func() net.Conn) {
		at := time.Now()
		c := dial()
		go func() {
			_, _ = io.WriteString(c, "POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
			for range 1000 {
				if _, err := io.WriteString(c, "1"); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
		require.Equal(t, http.StatusRequestTimeout, status(c))
		require.InDelta(t, 5, time.Since(at).Seconds(), 0.1)
		_, err := io.Copy(io.Discard, c)
		require.NoError(t, err, "and the connection is closed")
	})
}

func TestABodyThatMovesIsRead(t *testing.T) {
	limited(t, swallow(t), func(t *testing.T, dial func() net.Conn) {
		c := dial()
		go func() {
			_, _ = fmt.Fprintf(c, "POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n\"", 64<<10)
			for range 63 {
				_, _ = io.WriteString(c, strings.Repeat("x", 1024))
				time.Sleep(time.Second)
			}
			_, _ = io.WriteString(c, strings.Repeat("x", 1022)+`"`)
		}()
		require.Equal(t, http.StatusOK, status(c))
	})
}

func TestABodyThatNobodyReadsDoesNotHoldTheConnection(t *testing.T) {
	for _, line := range []string{"POST /refused", "GET /nothing", "DELETE /things"} {
		for _, length := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
			limited(t, swallow(t), func(t *testing.T, dial func() net.Conn) {
				at := time.Now()
				c := dial()
				_, err := fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", line, length)
				require.NoError(t, err)
				require.GreaterOrEqual(t, status(c), 400)
				_, err = io.Copy(io.Discard, c)
				require.NoError(t, err)
				require.LessOrEqual(t, time.Since(at), 6*time.Second)
			})
		}
	}
}

func TestABodyThatIsTooLargeIsNotRead(t *testing.T) {
	for name, tc := range map[string]struct{ length, body string }{
		"said":   {fmt.Sprintf("Content-Length: %d", 1<<30), ""},
		"unsaid": {"Transfer-Encoding: chunked", "200000\r\n" + strings.Repeat(" ", 2<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			limited(t, swallow(t), func(t *testing.T, dial func() net.Conn) {
				at := time.Now()
				c := dial()
				go func() { _, _ = fmt.Fprintf(c, "POST /things HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n%s", tc.length, tc.body) }()
				require.Equal(t, http.StatusRequestEntityTooLarge, status(c))
				_, err := io.Copy(io.Discard, c)
				require.NoError(t, err, "the connection is closed")
				require.Less(t, time.Since(at), time.Second)
			})
		})
	}
}

func TestWorkMayTakeItsTimeBehindABody(t *testing.T) {
	var cancelled error
	h := mountFor(t, host(1000), Route{Method: http.MethodPost, Path: "/things", Rule: access.Known, Handle: func(w http.ResponseWriter, r *Request) error {
		var v any
		if err := r.JSON(&v); err != nil {
			return err
		}
		select {
		case <-r.Context().Done():
			cancelled = context.Cause(r.Context())
		case <-time.After(time.Hour):
		}
		WriteJSON(w, http.StatusOK, v)
		return nil
	}})
	limited(t, h, func(t *testing.T, dial func() net.Conn) {
		c := dial()
		_, err := io.WriteString(c, "POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status(c))
		require.NoError(t, cancelled)
	})
}

func TestAClientThatDoesNotReadIsLeft(t *testing.T) {
	var took atomic.Int64
	h := mountFor(t, host(1000), Route{Method: http.MethodGet, Path: "/things", Rule: access.Known, Handle: func(w http.ResponseWriter, _ *Request) error {
		at := time.Now()
		WriteBytes(w, http.StatusOK, make([]byte, 1<<20))
		took.Store(int64(time.Since(at)))
		return nil
	}})
	limited(t, h, func(t *testing.T, dial func() net.Conn) {
		c := dial()
		_, err := io.WriteString(c, "GET /things HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, 30*time.Second, time.Duration(took.Load()))
	})
}
