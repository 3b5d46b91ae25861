package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
)

// form is a multipart body whose size is known before it is sent, of files that are read as
// it is.
type form struct {
	report func(sent int64)
	text   bytes.Buffer // what stands before the next file
	parts  *multipart.Writer
	body   []io.Reader
	size   int64
	err    error
}

func newForm(report func(sent int64)) *form {
	f := &form{report: report}
	f.parts = multipart.NewWriter(&f.text)
	return f
}

// field adds a text.
func (f *form) field(name, value string) {
	if err := f.parts.WriteField(name, value); f.err == nil {
		f.err = err
	}
}

// file adds so many bytes of r.
func (f *form) file(field, name string, size int64, r io.Reader) {
	_, err := f.parts.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition(field, name)}, "Content-Type": {"application/octet-stream"},
	})
	if f.err == nil {
		f.err = err
	}
	f.flush()
	f.body, f.size = append(f.body, io.LimitReader(r, size)), f.size+size
}

// flush puts what was written into the body.
func (f *form) flush() {
	f.body, f.size = append(f.body, bytes.NewReader(bytes.Clone(f.text.Bytes()))), f.size+int64(f.text.Len())
	f.text.Reset()
}

// request posts the form.
func (f *form) request(ctx context.Context, path string) (*http.Request, error) {
	if err := f.parts.Close(); f.err == nil {
		f.err = err
	}
	f.flush()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://edged"+path, &reporting{r: io.MultiReader(f.body...), report: f.report})
	if f.err == nil {
		f.err = err
	}
	if f.err != nil {
		return nil, fmt.Errorf("cannot make request: %w", f.err)
	}
	req.ContentLength = f.size
	req.Header.Set("Content-Type", f.parts.FormDataContentType())
	return req, nil
}

// reporting tells how much was read.
type reporting struct {
	r      io.Reader
	sent   int64
	report func(int64)
}

func (r *reporting) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.sent += int64(n)
	if r.report != nil && n > 0 {
		r.report(r.sent)
	}
	return n, err
}
