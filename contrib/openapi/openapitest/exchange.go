package openapitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// Holds returns a handler that answers as h does and holds each request, as far as h reads
// it, and each answer to the document. It fails the test; the answer goes on as it is.
func (d *Document) Holds(t testing.TB, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent bytes.Buffer
		asked := r.Clone(r.Context())
		if r.Body != nil {
			// No more is read than h reads: tests look at that.
			asked.Body = struct {
				io.Reader
				io.Closer
			}{io.TeeReader(r.Body, &sent), r.Body}
		}
		got := &answer{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(got, asked)
		for _, problem := range d.exchange(r, sent.Bytes(), got) {
			t.Errorf("%s: %s %s, answered with %d: %s", d.name, r.Method, r.URL.RequestURI(), got.status, problem)
		}
	})
}

// answer keeps a copy of what is answered.
type answer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.body.Write(b)
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// looked is the largest body that is held to the document, in bytes: what larger ones have that
// others have not is their size, and looking takes seconds.
const looked = 1 << 20

func (d *Document) exchange(r *http.Request, sent []byte, got *answer) (problems []string) {
	template := d.find(r.URL.EscapedPath())
	def := d.response(operation(d.strict, template, r.Method), got.status)
	if def == nil {
		return []string{"the document has no such answer: " + got.body.String()}
	}
	problems = append(problems, headers(def, got.Header())...)
	if r.Method != http.MethodHead && got.body.Len() <= looked { // net/http leaves its body out
		if err := body(def.Content, got.Header().Get("Content-Type"), got.body.Bytes()); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if op := operation(d.lenient, template, r.Method); op != nil && got.status < 300 {
		problems = append(problems, parameters(d.parameters(op, template), r.URL.Query())...)
		if len(sent) > looked {
			return problems
		}
		if err := request(op, r.Header.Get("Content-Type"), sent); err != nil {
			problems = append(problems, "the request's body, which was taken: "+err.Error())
		}
	}
	return problems
}

func headers(def *openapi3.Response, given http.Header) (problems []string) {
	known := map[string]bool{"Content-Type": true, "Connection": true, "Content-Length": true, "Date": true} // the server's own
	for name, ref := range def.Headers {
		known[http.CanonicalHeaderKey(name)] = true
		values := given.Values(name)
		if len(values) == 0 && ref.Value.Required {
			problems = append(problems, "there is no header "+name)
		}
		for _, value := range values {
			if err := scalar(ref.Value.Schema.Value, value); err != nil {
				problems = append(problems, fmt.Sprintf("header %s: %v", name, err))
			}
		}
	}
	for name := range given {
		if !known[name] {
			problems = append(problems, "the document has no header "+name)
		}
	}
	return problems
}

// body is that of an answer.
func body(content openapi3.Content, contentType string, b []byte) error {
	if len(content) == 0 {
		if len(b) > 0 {
			return errors.New("the document has no body: " + string(b))
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("content type %q: %w", contentType, err)
	}
	as := content[media]
	if as == nil {
		return errors.New("the document has no body of type " + media)
	}
	switch media {
	case "application/json":
		return visit(as.Schema.Value, b, openapi3.VisitAsResponse())
	case "application/x-ndjson":
		for line := range bytes.Lines(b) {
			if err := visit(as.Schema.Value, line, openapi3.VisitAsResponse()); err != nil {
				return err
			}
		}
	}
	return nil
}

func visit(s *openapi3.Schema, b []byte, as openapi3.SchemaValidationOption) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("it is no JSON: %w: %s", err, b)
	}
	return s.VisitJSON(v, as, openapi3.MultiErrors(), openapi3.EnableFormatValidation(), openapi3.DisableSchemaErrorDetails())
}

// parameters are those of a query.
func parameters(known openapi3.Parameters, query url.Values) (problems []string) {
	for name, values := range query {
		p := known.GetByInAndName(openapi3.ParameterInQuery, name)
		if p == nil {
			problems = append(problems, "the document has no parameter "+name)
			continue
		}
		s := p.Schema.Value
		if s.Type.Is(openapi3.TypeArray) {
			s = s.Items.Value
		}
		for _, value := range values {
			if err := scalar(s, value); err != nil {
				problems = append(problems, fmt.Sprintf("parameter %s: %v", name, err))
			}
		}
	}
	for _, ref := range known {
		if p := ref.Value; p.In == openapi3.ParameterInQuery && p.Required && !query.Has(p.Name) {
			problems = append(problems, "there is no parameter "+p.Name)
		}
	}
	return problems
}

// scalar holds text to the schema of one value.
func scalar(s *openapi3.Schema, given string) error {
	var v any = given
	var err error
	switch {
	case s.Type.Is(openapi3.TypeBoolean):
		v, err = strconv.ParseBool(given)
	case s.Type.Is(openapi3.TypeInteger), s.Type.Is(openapi3.TypeNumber):
		v, err = strconv.ParseFloat(given, 64)
	}
	if err != nil {
		return err
	}
	return s.VisitJSON(v, openapi3.EnableFormatValidation(), openapi3.DisableSchemaErrorDetails())
}

// request is the body of a request that was taken.
func request(op *openapi3.Operation, contentType string, b []byte) error {
	if op.RequestBody == nil {
		return nil // whatever was sent, nobody looked at it
	}
	def := op.RequestBody.Value
	if len(b) == 0 {
		if def.Required {
			return errors.New("there is none")
		}
		return nil
	}
	media, params := "application/json", map[string]string{} // where a client says nothing
	if contentType != "" {
		var err error
		if media, params, err = mime.ParseMediaType(contentType); err != nil {
			return err
		}
	}
	as := def.Content[media]
	if as == nil {
		if as = def.Content["*/*"]; as == nil {
			return errors.New("the document takes none of type " + media)
		}
		return nil
	}
	switch media {
	case "application/json":
		return visit(as.Schema.Value, b, openapi3.VisitAsRequest())
	case "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(b))
		switch {
		case err != nil && def.Content["*/*"] != nil:
			return nil // whatever it is
		case err != nil:
			return err
		}
		return form(as.Schema.Value, values)
	case "multipart/form-data":
		values, err := fields(b, params["boundary"])
		if err != nil {
			return err
		}
		return form(as.Schema.Value, values)
	}
	return nil
}

func fields(b []byte, boundary string) (url.Values, error) {
	values := url.Values{}
	for parts := multipart.NewReader(bytes.NewReader(b), boundary); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		values.Add(part.FormName(), string(text))
	}
}

// form holds the fields of a form to a schema: those it needs, and the values of those it knows.
func form(s *openapi3.Schema, values url.Values) error {
	for _, name := range s.Required {
		if !values.Has(name) {
			return errors.New("there is no field " + name)
		}
	}
	for name, all := range values {
		ref := s.Properties[name]
		if ref == nil {
			continue
		}
		of := ref.Value
		if of.Type.Is(openapi3.TypeArray) {
			of = of.Items.Value
		} else if len(all) > 1 {
			return errors.New("there is more than one field " + name)
		}
		if of.Format == "binary" {
			continue
		}
		for _, value := range all {
			if err := scalar(of, strings.TrimSpace(value)); err != nil {
				return fmt.Errorf("field %s: %w", name, err)
			}
		}
	}
	return nil
}
