package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// LogOptions chooses lines of a module's log. Since and Until choose first, Tail
// counts from the end of those.
type LogOptions struct {
	// Follow goes on with lines as they come, until the module ends.
	Follow bool
	// Tail is "all" or a number of lines; empty is all.
	Tail string
	// Since and Until are RFC 3339, seconds since 1970, or a duration before now
	// such as "1h 20m"; empty is no limit.
	Since, Until string
	// Timestamps puts each line's time, RFC 3339, before it.
	Timestamps bool
}

// framed is the type of a log in Docker's frames. They are asked for so that what
// comes is known whatever the device's log_framing is; readers of Logs see none.
const framed = "application/vnd.docker.multiplexed-stream"

// Logs reads a module's log, what it wrote to stdout and to stderr mixed as it came,
// byte for byte. The caller closes it. A log that is not followed fails when nothing
// comes for 30 seconds; a followed one ends with ctx, or when the module does. The
// error may be errdefs.NotFound, and of a read *UnreachableError.
func (c *Client) Logs(ctx context.Context, name string, opt LogOptions) (io.ReadCloser, error) {
	query := url.Values{}
	for key, value := range map[string]string{"tail": opt.Tail, "since": opt.Since, "until": opt.Until} {
		if value != "" {
			query.Set(key, value)
		}
	}
	for key, value := range map[string]bool{"follow": opt.Follow, "timestamps": opt.Timestamps} {
		if value {
			query.Set(key, "true")
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	idle := time.AfterFunc(readTimeout, func() { cancel(context.DeadlineExceeded) })
	resp, err := c.send(ctx, http.MethodGet, modulePath(name, "logs"), query, nil, framed+", text/plain;q=0.9") //nolint:bodyclose // the reader that is returned closes it
	idle.Stop()
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, context.DeadlineExceeded) {
			err = c.broken(cause)
		}
		cancel(nil)
		return nil, err
	}
	l := &logReader{client: c, ctx: ctx, cancel: cancel, body: resp.Body, text: resp.Body}
	if !opt.Follow {
		l.idle = idle
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), framed) {
		l.text = &frames{r: resp.Body}
	}
	return l, nil
}

// logReader gives each read its time, not the whole: who pages through a log may
// leave it for an hour.
type logReader struct {
	client *Client
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	text   io.Reader
	idle   *time.Timer
}

func (l *logReader) Read(p []byte) (int, error) {
	if l.idle != nil {
		l.idle.Reset(readTimeout)
		defer l.idle.Stop()
	}
	n, err := l.text.Read(p)
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, errFrame) {
		return n, err
	}
	if cause := context.Cause(l.ctx); cause != nil {
		err = cause
	}
	return n, l.client.broken(err)
}

func (l *logReader) Close() error {
	l.cancel(nil)
	return l.body.Close()
}
