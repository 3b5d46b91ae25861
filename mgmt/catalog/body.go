package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"slices"
	"unicode/utf8"

	domain "github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/httpapi"
)

// The types of bodies that are taken.
const (
	mediaJSON      = "application/json"
	mediaForm      = "application/x-www-form-urlencoded"
	mediaMultipart = "multipart/form-data"
)

// maxFields bounds a form, as in Django.
const maxFields = 1000

// content is a request's body that has come whole.
type content struct {
	*spool
	media    string
	boundary string // of mediaMultipart
}

// asked reads the parameters and the body of a request that writes. The caller closes
// the body.
func (a *api) asked(r *httpapi.Request) (asked, *content, error) {
	params, err := parameters(r)
	if err != nil {
		return params, nil, err
	}
	c, err := a.read(r, r.BodyLimit())
	return params, c, err
}

// read reads the body. Nothing is parsed while it comes: a client may take its time, and
// a transaction must not. The caller closes it.
func (a *api) read(r *httpapi.Request, limit int64) (*content, error) {
	c := &content{media: mediaJSON, spool: a.newSpool()}
	if given := r.Header.Get("Content-Type"); given != "" {
		media, params, err := mime.ParseMediaType(given)
		if err != nil || !slices.Contains([]string{mediaJSON, mediaForm, mediaMultipart}, media) {
			if r.ContentLength != 0 {
				return nil, httpapi.Unsupported(fmt.Sprintf("Unsupported media type %q in request.", given))
			}
			media = mediaJSON // of nothing
		}
		c.media, c.boundary = media, params["boundary"]
	}
	if err := r.ReadBody(c, limit); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// value is the body as one value; nothing is an object without members, as in Django.
func (c *content) value() (any, error) {
	text, err := c.bytes()
	switch {
	case err != nil:
		return nil, err
	case len(text) == 0:
		return domain.Object{}, nil
	case c.media == mediaForm:
		return c.form(text)
	case c.media == mediaMultipart:
		return c.multipart(text)
	}
	return domain.ParseValue(text)
}

func (c *content) form(text []byte) (any, error) {
	values, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, formError(err)
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names) // the order in which they came is lost
	o := domain.Object{}
	for _, name := range names {
		if o, err = addField(o, name, values[name][len(values[name])-1]); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (c *content) multipart(text []byte) (any, error) {
	parts := multipart.NewReader(bytes.NewReader(text), c.boundary)
	o := domain.Object{}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return o, nil
		}
		if err != nil {
			return nil, formError(err)
		}
		var value any = []any{} // a file is no value of any field
		if part.FileName() == "" {
			b, err := io.ReadAll(part)
			if err != nil {
				return nil, formError(err)
			}
			value = string(b)
		}
		if o, err = addField(o, part.FormName(), value); err != nil {
			return nil, err
		}
	}
}

func formError(err error) error {
	return &domain.Invalid{Detail: "Form parse error - " + err.Error()}
}

// addField adds a field of a form. One that comes again replaces the value.
func addField(o domain.Object, name string, value any) (domain.Object, error) {
	if s, ok := value.(string); ok {
		if !utf8.ValidString(s) || !utf8.ValidString(name) {
			return nil, formError(errors.New("it is not UTF-8"))
		}
		switch {
		case name == "active" && s == "":
			return o, nil // an empty field of a form that need not be there is not there
		case name == "rpms":
			value = []any{s} // a form has no lists, only fields that may come again
		}
	}
	for i := range o {
		if o[i].Name == name {
			o[i].Value = value
			return o, nil
		}
	}
	if len(o) == maxFields {
		return nil, formError(fmt.Errorf("there are more than %d fields", maxFields))
	}
	return append(o, domain.Member{Name: name, Value: value}), nil
}
