package uploads

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"

	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/upload"
)

// The parts of a request, and the header that may have the second one, in base64.
const (
	packagePart     = "module"
	signaturePart   = "module.minisig"
	signatureHeader = "X-Edged-Signature"
)

// readAhead is how much of a body is read from the socket at once. The standard library's
// parser looks at four KiB at a time, and would ask the kernel for each.
const readAhead = 256 << 10

// receive takes a package from a multipart body. Whatever speaks against it without it is
// said before a byte of it is read, so that a client that waits for that sends nothing.
func (a *api) receive(r *httpapi.Request) (_ *upload.Upload, err error) {
	defer func() {
		if err != nil {
			r.Drain()
		}
	}()
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" || params["boundary"] == "" {
		return nil, noModule("the request is not multipart/form-data")
	}
	signature, err := headerSignature(r.Header.Get(signatureHeader))
	if err != nil {
		return nil, err
	}
	u, err := a.Packages.Receive(r.Context(), r.ContentLength)
	if err != nil {
		return nil, err
	}
	if signature != nil {
		u.Sign(signature)
	}
	body := bufio.NewReaderSize(r.Stream(a.MaxSize+upload.Overhead), readAhead)
	if err := readParts(multipart.NewReader(body, params["boundary"]), u); err != nil {
		u.Abort()
		return nil, err
	}
	// What a client sends behind the last part is nothing; it is read so that the
	// connection is fit for the next request.
	if _, err := io.Copy(io.Discard, body); err != nil {
		u.Abort()
		return nil, bodyError(err)
	}
	return u, nil
}

func readParts(parts *multipart.Reader, u *upload.Upload) error {
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return bodyError(err)
		}
		in := &remembering{r: part}
		// Parts need no file name: stock clients leave it out.
		switch part.FormName() {
		case packagePart:
			_, err = u.ReadFrom(in)
		case signaturePart:
			var text []byte
			if text, err = io.ReadAll(io.LimitReader(in, pack.MaxSignature+1)); err == nil {
				u.Sign(text)
			}
		}
		if in.err != nil {
			return bodyError(in.err)
		}
		if err != nil {
			return err // the disk's, or a refusal
		}
	}
}

// remembering tells the client's faults from the disk's.
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

func headerSignature(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	signature, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, httpapi.BadRequest(signatureHeader + " is no base64")
	}
	return signature, nil
}

// noModule is the contract's word for a request without a package.
func noModule(why string) error {
	return &upload.Error{Code: upload.NoModule, Text: why}
}

// bodyError words what went wrong with a body for whoever sent it.
func bodyError(err error) error {
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return httpapi.TooLarge(limit.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return httpapi.TooSlow()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return noModule("the request's body ends before its last part does")
	}
	return noModule(fmt.Sprintf("cannot read the request's body: %v", err))
}
