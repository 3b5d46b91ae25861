package httpapi

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/peer"
)

// Limits are what a client may ask of a mount.
type Limits struct {
	// Body is the largest JSON body in bytes; BodyRate the fewest bytes a second at
	// which it must come.
	Body, BodyRate int64
	// Headers is the most bytes of a request's headers, and HeaderTimeout their time.
	Headers       int
	HeaderTimeout time.Duration
	// IdleTimeout is how long a kept connection may be silent.
	IdleTimeout time.Duration
}

// bodyGrace is what a slow body is given beyond its rate.
const bodyGrace = 5 * time.Second

// Stream reads the request's body where that is no JSON: at the pace that every body has
// to keep, and within a limit of its own. Errors: *http.MaxBytesError, and
// os.ErrDeadlineExceeded when it comes too slowly.
func (req *Request) Stream(limit int64) io.Reader {
	req.streamed = true
	return http.MaxBytesReader(req.w, &pacedBody{
		ReadCloser: req.Body, begun: time.Now(), rate: req.limits.BodyRate,
		deadline: http.NewResponseController(req.w).SetReadDeadline,
	}, limit)
}

// drainTime bounds the reading of what nobody wants.
const drainTime = 5 * time.Second

// Drain reads what is left of a body that was refused, for a while, when its sender does
// not wait for leave to send it: many see an answer only when they have sent all, and a
// broken connection before that. It is for callers who were admitted.
func (req *Request) Drain() {
	if !req.streamed && req.Header.Get("Expect") != "" {
		return // the first read would be the leave
	}
	control := http.NewResponseController(req.w)
	_ = control.SetReadDeadline(time.Now().Add(drainTime))
	if _, err := io.Copy(io.Discard, req.Body); err == nil {
		_ = control.SetReadDeadline(time.Time{})
	}
}

// pacedBody moves the read deadline on as bytes come in: a body may be slow, but
// it must move.
type pacedBody struct {
	io.ReadCloser
	begun    time.Time
	read     int64
	rate     int64
	deadline func(time.Time) error
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.rate > 0 {
		earned := time.Duration(float64(b.read) / float64(b.rate) * float64(time.Second))
		// Without deadlines, as in a test, the body is read as it comes.
		_ = b.deadline(b.begun.Add(bodyGrace + earned))
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if err == io.EOF {
		// The deadline was the body's; the rest of the connection has its own.
		_ = b.deadline(time.Time{})
	}
	return n, err
}

// headerSlop is how many bytes net/http reads beyond what it is told is the most.
const headerSlop = 4 << 10

// NewServer returns a server whose connections know who is at their other end.
func NewServer(h http.Handler, l Limits, logger logrus.FieldLogger) *http.Server {
	return &http.Server{
		Handler:           unreadBodies(h),
		ReadHeaderTimeout: l.HeaderTimeout,
		IdleTimeout:       l.IdleTimeout,
		MaxHeaderBytes:    max(l.Headers-headerSlop, 1),
		ConnContext:       peer.ConnContext,
		ErrorLog:          ErrorLog(logger),
	}
}

// ErrorLog is for a server: what it complains of itself is what clients did to their own
// connection.
func ErrorLog(logger logrus.FieldLogger) *log.Logger { return log.New(debugWriter{logger}, "", 0) }

// unreadBodies bounds the wait for a body that no handler reads: net/http reads on
// before it answers, so a refused client could hold its connection for ever. Who
// does read gives the body more time as it comes, see body.
func unreadBodies(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyGrace))
		}
		h.ServeHTTP(w, r)
	})
}

type debugWriter struct{ logrus.FieldLogger }

func (w debugWriter) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("panic serving")) {
		w.Error(string(b)) // not a client's doing: a defect of ours
		return len(b), nil
	}
	w.Debug(string(b))
	return len(b), nil
}
