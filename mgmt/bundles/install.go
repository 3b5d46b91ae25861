package bundles

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/edged/edged/pkg/bundle"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
)

// maxField bounds the text of a form's field, in bytes.
const maxField = 4 << 10

// form is what an install has beside its bundles. Fields may come before them or after.
type form struct {
	bundle.Options
	target string
}

// install takes the bundles of a multipart body. What speaks against it without them is said
// before a byte of them is read.
func (a *api) install(w http.ResponseWriter, r *httpapi.Request) (err error) {
	defer func() {
		if err != nil {
			r.Drain()
		}
	}()
	boundary, ok := r.Boundary()
	if !ok {
		return httpapi.Unsupported("the request is not multipart/form-data")
	}
	u, err := a.Bundles.Receive(r.ContentLength)
	if err != nil {
		return err
	}
	defer u.Abort()
	var f form
	if err := r.Parts(boundary, a.MaxSize+bundle.Overhead, func(name string, in io.Reader) error {
		if name == "bundle" {
			return u.Add(r.Context(), in)
		}
		return f.read(name, in)
	}); err != nil {
		return err
	}
	if err := a.checkTarget(f.target); err != nil {
		return err
	}
	keys, err := u.Install(r.Context(), f.Options)
	if err != nil {
		return err
	}
	return a.done(w, r, keys...)
}

func (f *form) read(name string, in io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(in, maxField))
	if err != nil {
		return err
	}
	switch name {
	case "start":
		f.Start = isTrue(string(text))
	case "ignoreChecks":
		f.IgnoreChecks = isTrue(string(text))
	case "target":
		f.target = string(text)
	}
	return nil
}

// isTrue reads a boolean as the contract's own server does: every other text is no.
func isTrue(text string) bool { return strings.EqualFold(strings.TrimSpace(text), "true") }

// checkTarget refuses a group of nodes that this device is not in. None means all nodes.
func (a *api) checkTarget(target string) error {
	if target == "" || target == "null" || target == "local" || slices.Contains(a.Groups, target) {
		return nil
	}
	return httpapi.BadRequest("Supplied target " + target + " for module operation is not valid")
}

// done answers an operation that was done.
func (a *api) done(w http.ResponseWriter, r *httpapi.Request, keys ...bundle.Key) error {
	answer := wire.BundleOperation{BundleInfos: []wire.BundleInfo{}, Message: "Operation successful"}
	var names []string
	for _, k := range keys {
		info := wire.BundleInfo{SymbolicName: k.Name, Version: k.Version, Key: k.String()}
		if k.Group != "" {
			info.GroupID = &k.Group
		}
		answer.BundleInfos = append(answer.BundleInfos, info)
		names = append(names, k.String())
	}
	r.Bundle = strings.Join(names, " ")
	httpapi.WriteJSON(w, http.StatusOK, answer)
	return nil
}
