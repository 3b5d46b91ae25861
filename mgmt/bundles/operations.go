package bundles

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/edged/edged/pkg/bundle"
	"github.com/edged/edged/pkg/httpapi"
)

// maxForm bounds the body of an operation, in bytes.
const maxForm = 64 << 10

// operation handles what is done with one bundle.
func (a *api) operation(do func(context.Context, string) (bundle.Key, error)) httpapi.Handler {
	return func(w http.ResponseWriter, r *httpapi.Request) error {
		key, err := r.Var("key")
		if err != nil {
			return err
		}
		r.Bundle = key
		target, err := formTarget(r)
		if err == nil {
			err = a.checkTarget(target)
		}
		if err != nil {
			return err
		}
		done, err := do(r.Context(), key)
		if err != nil {
			return err
		}
		return a.done(w, r, done)
	}
}

// formTarget reads the one field that an operation has. Clients in the field send anything
// else as a body, or none: that is no field.
func formTarget(r *httpapi.Request) (string, error) {
	body, err := io.ReadAll(r.Stream(maxForm))
	if err != nil {
		return "", httpapi.BodyFault(err)
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return "", nil //nolint:nilerr // garbage is no field, see above
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return "", nil //nolint:nilerr // garbage is no field, see above
	}
	return values.Get("target"), nil
}
