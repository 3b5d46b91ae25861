package mgmt

import (
	"io"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/httpapi"
)

// metricsType is Prometheus' text format.
const metricsType = "text/plain; version=0.0.4; charset=utf-8"

// NewScrape returns the server of the loopback interface: metrics and nothing else, to anybody. Who asks is not known there, and so it has no part of the
// way that requests on edged's sockets take. What it takes of a client is little.
func NewScrape(write func(io.Writer), logger logrus.FieldLogger) *http.Server {
	return &http.Server{
		ReadTimeout: 3 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 8 << 10,
		ErrorLog: httpapi.ErrorLog(logger),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.EscapedPath() != "/metrics":
				http.Error(w, "only /metrics is here", http.StatusNotFound)
			case r.Method != http.MethodGet && r.Method != http.MethodHead:
				w.Header().Set("Allow", "GET, HEAD")
				http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			default:
				w.Header().Set("Content-Type", metricsType)
				if r.Method == http.MethodGet {
					write(w)
				}
			}
		}),
	}
}
