package httpapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
)

// readAhead is how much of a body is read from the socket at once. The standard library's
// parser looks at four KiB at a time, and would ask the kernel for each.
const readAhead = 256 << 10

// Boundary is that of a multipart/form-data body; false for a body that is none.
func (req *Request) Boundary() (string, bool) {
	media, params, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" || params["boundary"] == "" {
		return "", false
	}
	return params["boundary"], true
}

// BodyError is what is wrong with a body itself.
type BodyError struct{ text string }

func (e *BodyError) Error() string { return e.text }

// Parts reads a multipart body of at most limit bytes, as it comes, and gives each part to
// each, by its name: parts need no file name, which stock clients leave out. Errors: TooLarge,
// TooSlow, *BodyError, and each's own.
func (req *Request) Parts(boundary string, limit int64, each func(name string, r io.Reader) error) error {
	body := bufio.NewReaderSize(req.Stream(limit), readAhead)
	// The standard library takes a body that ends before its last boundary for a whole one.
	whole := io.MultiReader(body, strings.NewReader("\r\n"), tooEarly{})
	if err := parts(multipart.NewReader(whole, boundary), each); err != nil {
		return err
	}
	// What a client sends behind the last part is nothing; it is read so that the
	// connection is fit for the next request.
	if _, err := io.Copy(io.Discard, body); err != nil {
		return BodyFault(err)
	}
	return nil
}

func parts(all *multipart.Reader, each func(name string, r io.Reader) error) error {
	for {
		part, err := all.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return BodyFault(err)
		}
		in := &remembering{r: part}
		err = each(part.FormName(), in)
		if in.err != nil {
			return BodyFault(in.err)
		}
		if err != nil {
			return err
		}
	}
}

// tooEarly is what is behind a body that should have ended.
type tooEarly struct{}

func (tooEarly) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// remembering tells the client's faults from those of whoever takes the part.
type remembering struct {
	r   io.Reader
	err error
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// BodyFault words what went wrong with a body that was streamed for whoever sent it. Errors:
// TooLarge, TooSlow, *BodyError.
func BodyFault(err error) error {
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return TooLarge(limit.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return TooSlow()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &BodyError{"the request's body ends too early"}
	}
	return &BodyError{fmt.Sprintf("cannot read the request's body: %v", err)}
}
