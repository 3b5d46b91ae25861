package mgmt

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
)

func TestTheLoopbackInterfaceServesMetricsAndNothingElse(t *testing.T) {
	s := NewScrape(func(w io.Writer) { _, _ = io.WriteString(w, "edged_modules 2\n") }, logrus.New())
	for _, tc := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/metrics", 200, "edged_modules 2\n"},
		{"GET", "/metrics?a=b", 200, "edged_modules 2\n"},
		{"HEAD", "/metrics", 200, ""},
		{"POST", "/metrics", 405, "method not allowed\n"},
		{"GET", "/metrics/", 404, "only /metrics is here\n"},
		{"GET", "/%6detrics", 404, "only /metrics is here\n"},
		{"GET", "/", 404, "only /metrics is here\n"},
		{"GET", "/modules?api-version=2022-08-03", 404, "only /metrics is here\n"},
		{"GET", "/debug/pprof/", 404, "only /metrics is here\n"},
		{"POST", "/modules/edgeAgent/start?api-version=2022-08-03", 404, "only /metrics is here\n"},
	} {
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
		require.Equal(t, tc.status, w.Code, tc.path)
		require.Equal(t, tc.body, w.Body.String(), tc.path)
	}
	require.Positive(t, s.ReadTimeout)
	require.Positive(t, s.WriteTimeout)
	require.Positive(t, s.MaxHeaderBytes)
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodDelete, "/metrics", nil))
	require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
}
