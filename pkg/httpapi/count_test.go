package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/metrics"
	"github.com/edged/edged/pkg/peer"
)

// countingMount is a mount whose requests are counted in r; nil counts none.
func countingMount(tb testing.TB, r *metrics.Registry) *Mount {
	tb.Helper()
	log := audit.New(io.Discard)
	tb.Cleanup(log.Close)
	m := &Mount{Name: "test", WriteError: MessageError, Decider: access.New(nil), Audit: log, Limits: testLimits, Slashes: true, Routes: []Route{
		{Method: "GET", Path: "/things", Rule: access.Known, Handle: ok},
		{Method: "GET", Path: "/things/{name}", Rule: access.Known, Handle: ok},
		{Method: "PUT", Path: "/things/{name}", Rule: access.Agent, Handle: ok},
		{Method: "GET", Path: "/slash/", Rule: access.Known, Handle: ok},
		{Method: "GET", Path: "/broken", Rule: access.Known, Handle: func(w http.ResponseWriter, _ *Request) error {
			_, _ = io.WriteString(w, "begun")
			return errors.New("the stream broke")
		}},
		{Method: "GET", Path: "/defect", Rule: access.Known, Handle: func(http.ResponseWriter, *Request) error { return errors.New("a defect") }},
	}}
	if r != nil {
		m.Requests = r.NewRequests()
	}
	return m
}

func TestEachRequestIsCountedOnceAndByWordsOfTheTable(t *testing.T) {
	r := metrics.New("1")
	h := countingMount(t, r).Handler()
	asked := 0
	by := func(c peer.Caller, method, path string) {
		asked++
		defer func() { _ = recover() }() // http.ErrAbortHandler
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil).WithContext(peer.NewContext(t.Context(), c)))
	}
	by(host(0), "GET", "/things/a")
	by(moduleCaller("edgeHub"), "GET", "/things/b")
	by(moduleCaller("edgeHub"), "PUT", "/things/secret-name")
	by(moduleCaller("edgeAgent"), "PUT", "/things/c")
	by(peer.Caller{Reason: peer.ReasonGone}, "GET", "/things/a")
	by(host(0), "GET", "/things/a%2Fb")
	by(host(0), "GET", "/secret-path")
	by(host(0), "GET", "/things/../things")
	by(host(0), "SECRET-METHOD", "/things/a")
	by(host(0), "GET", "/slash")
	by(host(0), "GET", "/broken")
	by(host(0), "GET", "/defect")
	var b bytes.Buffer
	require.NoError(t, r.Write(&b, true))
	var lines []string
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "edged_http_requests_total{") || strings.HasPrefix(line, "edged_http_refusals_total{") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	require.Equal(t, []string{
		`edged_http_refusals_total{reason="gone",rule="known"} 1`,
		`edged_http_refusals_total{reason="not_agent",rule="agent"} 1`,
		`edged_http_requests_total{api="test",caller="host",code="2xx",method="GET",route="/things/{name}"} 1`,
		`edged_http_requests_total{api="test",caller="host",code="4xx",method="GET",route="/things/{name}"} 1`,
		`edged_http_requests_total{api="test",caller="host",code="5xx",method="GET",route="/defect"} 1`,
		`edged_http_requests_total{api="test",caller="host",code="aborted",method="GET",route="/broken"} 1`,
		`edged_http_requests_total{api="test",caller="module",code="2xx",method="GET",route="/things/{name}"} 1`,
		`edged_http_requests_total{api="test",caller="module",code="2xx",method="PUT",route="/things/{name}"} 1`,
		`edged_http_requests_total{api="test",caller="module",code="4xx",method="PUT",route="/things/{name}"} 1`,
		`edged_http_requests_total{api="test",caller="none",code="3xx",method="other",route="other"} 1`,
		`edged_http_requests_total{api="test",caller="none",code="4xx",method="other",route="/things/{name}"} 1`,
		`edged_http_requests_total{api="test",caller="none",code="4xx",method="other",route="other"} 2`,
		`edged_http_requests_total{api="test",caller="unknown",code="4xx",method="GET",route="/things/{name}"} 1`,
	}, lines)
	require.NotContains(t, strings.ToLower(b.String()), "secret")
	require.Equal(t, 12, asked)
}

func TestAnAPIWithoutANameCannotBeCounted(t *testing.T) {
	m := countingMount(t, metrics.New("1"))
	m.Name = ""
	require.PanicsWithValue(t, "route GET /things is of no API that could be counted", func() { m.Handler() })
}

// BenchmarkCounted is what counting a request costs, against the same mount without.
func BenchmarkCounted(b *testing.B) {
	request := httptest.NewRequest("GET", "/things/a", nil)
	request = request.WithContext(peer.NewContext(b.Context(), moduleCaller("edgeHub")))
	for name, registry := range map[string]*metrics.Registry{"without": nil, "with": metrics.New("1")} {
		h := countingMount(b, registry).Handler()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(discard{}, request)
			}
		})
	}
}

// discard is a client that costs nothing.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
