package mgmt

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/modulelog"
)

const multiplexed = "application/vnd.docker.multiplexed-stream"

// logs streams a module's log. It says text/plain in either framing, as the
// contract does, but to a client that asked for the frames by their own type.
func (a *api) logs(w http.ResponseWriter, r *httpapi.Request) error {
	opt, err := logOptions(r)
	if err != nil {
		return err
	}
	state, err := a.Supervisor.Get(r.Context(), r.Module)
	if err != nil {
		return err
	}
	contentType := "text/plain; charset=utf-8"
	asked := strings.Contains(r.Header.Get("Accept"), multiplexed)
	if asked {
		contentType = multiplexed
	}
	if asked || a.DockerFraming {
		opt.Framing = modulelog.Docker
	}
	w.Header().Set("Content-Type", contentType)
	httpapi.Deadline(w)
	w.WriteHeader(http.StatusOK)
	out := &logWriter{w: w, control: http.NewResponseController(w), frames: opt.Framing == modulelog.Docker}
	if opt.Follow {
		// A client that waits for the first line should at least see the answer's head.
		out.Flush()
	}
	ctx := r.Context()
	if opt.Follow && a.Stopping != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(a.Stopping, cancel)()
	}
	err = a.Logs.Copy(ctx, out, r.Module, opt, state.Run)
	httpapi.Deadline(w) // the end of the answer is still to be written, and the last line may be long ago
	return err
}

func logOptions(r *httpapi.Request) (opt modulelog.Options, err error) {
	opt.Tail = -1
	if opt.Follow, err = r.Bool("follow"); err != nil {
		return opt, err
	}
	if opt.Timestamps, err = r.Bool("timestamps"); err != nil {
		return opt, err
	}
	if s := r.Query.Get("tail"); s != "" || r.Query.Has("tail") {
		if opt.Tail, err = modulelog.ParseTail(s); err != nil {
			return opt, httpapi.BadRequest("invalid parameter: tail")
		}
	}
	opt.Since, opt.Until, err = period(r)
	return opt, err
}

// period reads since and until; the zero time is no limit.
func period(r *httpapi.Request) (since, until time.Time, err error) {
	now := time.Now()
	for name, to := range map[string]*time.Time{"since": &since, "until": &until} {
		if s := r.Query.Get(name); s != "" {
			if *to, err = modulelog.ParseTime(s, now); err != nil {
				return since, until, httpapi.BadRequest("invalid parameter: " + name)
			}
		}
	}
	return since, until, nil
}

// logWriter gives each piece of a log its time to be taken, and in frames makes
// each one a chunk: clients are in use that read it so.
type logWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	frames  bool
}

func (l *logWriter) Write(p []byte) (int, error) {
	httpapi.Deadline(l.w)
	n, err := l.w.Write(p)
	if err == nil && l.frames {
		err = l.control.Flush()
	}
	return n, err
}

// Flush sends what is buffered; the log's reader calls it when it has caught up.
func (l *logWriter) Flush() { _ = l.control.Flush() }
