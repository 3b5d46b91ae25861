package uploads

import (
	"encoding/base64"
	"errors"
	"io"

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

// receive takes a package from a multipart body. Whatever speaks against it without it is
// said before a byte of it is read, so that a client that waits for that sends nothing.
func (a *api) receive(r *httpapi.Request) (_ *upload.Upload, err error) {
	defer func() {
		if err != nil {
			r.Drain()
		}
	}()
	boundary, ok := r.Boundary()
	if !ok {
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
	if err := r.Parts(boundary, a.MaxSize+upload.Overhead, func(name string, in io.Reader) error { return take(u, name, in) }); err != nil {
		u.Abort()
		return nil, asNoModule(err)
	}
	return u, nil
}

// take takes one part.
func take(u *upload.Upload, name string, in io.Reader) error {
	switch name {
	case packagePart:
		_, err := u.ReadFrom(in)
		return err // the disk's, or a refusal
	case signaturePart:
		text, err := io.ReadAll(io.LimitReader(in, pack.MaxSignature+1))
		if err == nil {
			u.Sign(text)
		}
		return err
	}
	return nil
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

// asNoModule is the contract's word for a body that cannot be read.
func asNoModule(err error) error {
	var body *httpapi.BodyError
	if errors.As(err, &body) {
		return noModule(body.Error())
	}
	return err
}
