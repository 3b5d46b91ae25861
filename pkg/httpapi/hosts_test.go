package httpapi

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http/httpguts"
)

// serve answers on a Unix socket as edged does and returns the socket's path.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	log := logrus.New()
	log.SetOutput(io.Discard)
	server := NewServer(h, Limits{Headers: 64 << 10, HeaderTimeout: 3 * time.Second, IdleTimeout: 30 * time.Second}, log)
	done := make(chan error, 1)
	go func() { done <- server.Serve(RepairHosts(l)) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return path
}

// echo answers with what a handler sees of the request.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	_, _ = fmt.Fprintf(w, "%s %s|%s|%s|%v", r.Method, r.URL, r.Header.Get("X-Own"), body, err)
}

func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	return c
}

func answer(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp, string(body)
}

// heads are what clients in the field send.
var heads = map[string]struct {
	host  string
	keeps bool // the connection
}{
	"curl":                     {"Host: localhost\r\n", true},
	"name and port":            {"Host: mgmt.sock:80\r\n", true},
	"hex of the path":          {"Host: 2f7661722f72756e:0\r\n", true},
	"empty":                    {"Host: \r\n", true},
	"without the space":        {"Host:x\r\n", true},
	"in capitals":              {"HOST: x\r\n", true},
	"a path":                   {"Host: /var/run/iotedge/workload.sock\r\n", false},
	"a path and port 0":        {"Host: /var/run/iotedge/workload.sock:0\r\n", false},
	"unix://":                  {"Host: unix:///var/run/iotedge/mgmt.sock\r\n", false},
	"none":                     {"", false},
	"twice":                    {"Host: a\r\nHost: b\r\n", false},
	"twice, one of them odd":   {"Host: a\r\nhost: /b\r\n", false},
	"a path, wants to be kept": {"Host: /x\r\nConnection: keep-alive\r\n", false},
}

func TestEveryHostHeaderIsServed(t *testing.T) {
	path := serve(t, echo)
	for name, tc := range heads {
		for _, method := range []string{"GET /modules/?api-version=2018-06-28", "POST /modules/%24edgeHub/start?api-version=2018-06-28"} {
			t.Run(name+" "+method[:4], func(t *testing.T) {
				c := dial(t, path)
				body := ""
				if strings.HasPrefix(method, "POST") {
					body = "Host: not\r\n\r\nthe head's"
				}
				_, err := fmt.Fprintf(c, "%s HTTP/1.1\r\n%sX-Own: 1\r\nContent-Length: %d\r\n\r\n%s", method, tc.host, len(body), body)
				require.NoError(t, err)
				r := bufio.NewReader(c)
				resp, text := answer(t, r)
				require.Equal(t, "200 OK", resp.Status)
				require.Equal(t, method+"|1|"+body+"|<nil>", text)
				require.Equal(t, !tc.keeps, resp.Close)
				if !tc.keeps {
					_, err := r.ReadByte()
					require.ErrorIs(t, err, io.EOF)
					return
				}
				_, err = fmt.Fprintf(c, "GET /again HTTP/1.1\r\nHost: x\r\n\r\n")
				require.NoError(t, err)
				_, text = answer(t, r)
				require.Equal(t, "GET /again|||<nil>", text)
			})
		}
	}
}

func TestAHeadInPiecesIsRepaired(t *testing.T) {
	path := serve(t, echo)
	for name, tc := range heads {
		t.Run(name, func(t *testing.T) {
			c := dial(t, path)
			for _, b := range []byte("POST /x HTTP/1.1\r\n" + tc.host + "X-Own: 1\r\nContent-Length: 3\r\n\r\nabc") {
				_, err := c.Write([]byte{b})
				require.NoError(t, err)
			}
			_, text := answer(t, bufio.NewReader(c))
			require.Equal(t, "POST /x|1|abc|<nil>", text)
		})
	}
}

func TestLinesMayEndInANewlineAlone(t *testing.T) {
	path := serve(t, echo)
	for _, end := range []string{"\n\n", "\n\r\n", "\r\n\n"} {
		c := dial(t, path)
		begun := time.Now()
		_, err := fmt.Fprintf(c, "GET /x HTTP/1.1\nHost: /a/path%s", end)
		require.NoError(t, err)
		_, text := answer(t, bufio.NewReader(c))
		require.Equal(t, "GET /x|||<nil>", text)
		require.Less(t, time.Since(begun), 2*time.Second, "the end of the head is seen: %q", end)
	}
}

func TestABodyIsNotTakenForAPartOfTheHead(t *testing.T) {
	path := serve(t, echo)
	body := "Host: /mine\nHost: mine\r\n\r\n"
	c := dial(t, path)
	_, err := fmt.Fprintf(c, "POST /x HTTP/1.1\nHost: /a/path\nContent-Length: %d\n\n%s", len(body), body)
	require.NoError(t, err)
	_, text := answer(t, bufio.NewReader(c))
	require.Equal(t, "POST /x||"+body+"|<nil>", text)
}

func TestPipelinedRequestsAreServedInOrder(t *testing.T) {
	path := serve(t, echo)
	c := dial(t, path)
	_, err := io.WriteString(c, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\nhiGET /3 HTTP/1.1\r\nHost: c\r\n\r\n")
	require.NoError(t, err)
	r := bufio.NewReader(c)
	for _, want := range []string{"GET /1|||<nil>", "POST /2||hi|<nil>", "GET /3|||<nil>"} {
		_, text := answer(t, r)
		require.Equal(t, want, text)
	}
}

func TestAHeadThatIsTooLargeIsToldSo(t *testing.T) {
	path := serve(t, echo)
	for _, host := range []string{"Host: x\r\n", "Host: /x\r\n"} {
		c := dial(t, path)
		go func() {
			_, _ = io.WriteString(c, "GET /x HTTP/1.1\r\n"+host)
			for i := range 200 {
				_, _ = fmt.Fprintf(c, "X-%d: %s\r\n", i, strings.Repeat("x", 1024))
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
	}
}

func TestAHeadOfSixtyKiBIsServed(t *testing.T) {
	path := serve(t, echo)
	c := dial(t, path)
	go func() {
		_, _ = fmt.Fprintf(c, "GET /x HTTP/1.1\r\nHost: /x\r\nX-Long: %s\r\nX-Own: 1\r\n\r\n", strings.Repeat("x", 60<<10))
	}()
	_, text := answer(t, bufio.NewReader(c))
	require.Equal(t, "GET /x|1||<nil>", text)
}

func TestAClientThatLeavesInTheMiddleOfItsHeadIsForgotten(t *testing.T) {
	served := make(chan struct{}, 1)
	path := serve(t, func(http.ResponseWriter, *http.Request) { served <- struct{}{} })
	c := dial(t, path)
	_, err := io.WriteString(c, "GET /x HTTP/1.1\r\nHost: /x\r\n")
	require.NoError(t, err)
	require.NoError(t, c.(*net.UnixConn).CloseWrite())
	_, err = io.ReadAll(c)
	require.NoError(t, err)
	require.Empty(t, served)
}

func TestTheConnectionBelowIsFound(t *testing.T) {
	one, two := net.Pipe()
	defer one.Close()
	defer two.Close()
	require.Equal(t, one, (&hostConn{Conn: one}).NetConn())
}

// FuzzRepairHead checks that a head that was repaired is one that net/http takes
// when it would take the same head with a Host that is fine.
func FuzzRepairHead(f *testing.F) {
	for _, tc := range heads {
		f.Add("GET /x HTTP/1.1\r\n" + tc.host + "X-Own: 1\r\n\r\n")
	}
	f.Add("\r\n\r\n")
	f.Add("GET / HTTP/1.1\n\n")
	f.Fuzz(func(t *testing.T, s string) {
		end := headEnd([]byte(s))
		if end < 0 {
			return
		}
		head := []byte(s)[:end]
		if _, first := hostValue(head[:bytes.IndexByte(head, '\n')+1]); first || hostIsFine(head) {
			return // a request line that looks like a header is not a request
		}
		repaired := repairHead(head)
		require.Equal(t, len(repaired), headEnd(repaired), "the end stays the end")
		require.True(t, hostIsFine(repaired))
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(repaired)))
		if err == nil {
			require.True(t, r.Close)
			if r.URL.Host == "" && httpguts.ValidHostHeader(r.Host) {
				require.Equal(t, "localhost", r.Host)
			}
		}
	})
}
