package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"time"
)

// writeTimeout bounds how long a client may leave an answer unread.
const writeTimeout = 30 * time.Second

// MessageError is the error shape of the management and workload APIs.
func MessageError(w http.ResponseWriter, status int, err error) {
	WriteJSON(w, status, struct {
		Message string `json:"message"`
	}{Message(err)})
}

// WriteJSON answers with a value. The length is always given: clients are in use
// that cannot read chunks.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		// Only values of ours get here; one that cannot be encoded is a defect.
		http.Error(w, `{"message":"cannot encode answer"}`, http.StatusInternalServerError)
		return
	}
	WriteBytes(w, status, b)
}

// WriteBytes answers with JSON that is ready.
func WriteBytes(w http.ResponseWriter, status int, parts ...[]byte) {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(size))
	Deadline(w)
	w.WriteHeader(status)
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return // the client left
		}
	}
}

// Deadline gives the client writeTimeout to take what is written next.
func Deadline(w http.ResponseWriter) {
	// A writer without deadlines, as in a test, is no reason not to answer.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
}

// JSON decodes the body into v. An absent content type is JSON, for clients that
// send none. Errors: 415 another type, 413 too large, 408 too slow, 400 no body,
// 422 not JSON of this shape.
func (req *Request) JSON(v any) error { return req.decode(v, false) }

// LongJSON is JSON for what may be longer than the limit of other bodies.
func (req *Request) LongJSON(v any, limit int64) error {
	req.limits.Body = max(req.limits.Body, limit)
	return req.decode(v, false)
}

// OptionalJSON is JSON where no body is one too, and leaves v as it is.
func (req *Request) OptionalJSON(v any) error { return req.decode(v, true) }

func (req *Request) decode(v any, optional bool) error {
	if ct := req.Header.Get("Content-Type"); ct != "" {
		if media, _, err := mime.ParseMediaType(ct); err != nil || media != "application/json" {
			return &statusError{http.StatusUnsupportedMediaType, "request body must be application/json"}
		}
	}
	var body bytes.Buffer
	switch err := req.ReadBody(&body, req.limits.Body); {
	case err != nil:
		return err
	case body.Len() == 0 && optional:
		return nil
	case body.Len() == 0:
		return BadRequest("missing request body")
	}
	if err := json.Unmarshal(body.Bytes(), v); err != nil {
		return &statusError{http.StatusUnprocessableEntity, "request body is malformed: " + jsonProblem(err)}
	}
	return nil
}

// BodyLimit is the most bytes that the route takes.
func (req *Request) BodyLimit() int64 { return req.limits.Body }

// ReadBody copies the body, which may be limit bytes long. Errors: 413 too large, 408 too
// slow, 400 for a client that left, and what w says.
func (req *Request) ReadBody(w io.Writer, limit int64) error {
	if req.ContentLength > limit {
		return TooLarge(limit)
	}
	out := &writerErrors{w: w}
	_, err := io.Copy(out, req.Stream(limit))
	var tooMuch *http.MaxBytesError
	switch {
	case out.err != nil:
		return out.err
	case errors.As(err, &tooMuch):
		return TooLarge(limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return TooSlow()
	case err != nil:
		return BadRequest("cannot read the request body")
	}
	return nil
}

// writerErrors tells what went wrong where it is written from what went wrong where it is read.
type writerErrors struct {
	w   io.Writer
	err error
}

func (w *writerErrors) Write(p []byte) (n int, err error) {
	n, w.err = w.w.Write(p)
	return n, w.err
}

// TooLarge is the error of a body that is larger than its limit in bytes.
func TooLarge(limit int64) error {
	return &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("request body is larger than %d bytes", limit)}
}

// TooSlow is the error of a body that does not come at its pace.
func TooSlow() error {
	return &statusError{http.StatusRequestTimeout, "the request body came too slowly"}
}

// jsonProblem words a decoding error for the one who wrote the JSON.
func jsonProblem(err error) string {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		return fmt.Sprintf("%s: a %s is not what belongs here (at byte %d)", typ.Field, typ.Value, typ.Offset)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%s (at byte %d)", syntax.Error(), syntax.Offset)
	}
	return err.Error()
}

// Bool reads a query parameter that is strictly "true" or "false"; absent is false.
func (req *Request) Bool(name string) (bool, error) {
	switch req.Query.Get(name) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "":
		if !req.Query.Has(name) {
			return false, nil
		}
	}
	return false, BadRequest("invalid parameter: " + name)
}
