// Package openapitest holds routes, requests and answers to the OpenAPI documents. It is for
// tests alone: no program links it.
package openapitest

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/edged/edged/contrib/openapi"
	"github.com/edged/edged/pkg/httpapi"
)

// Document is one of the documents.
type Document struct {
	name string
	// strict is for answers: an object has no other members than the document says.
	// lenient is for requests, of which edged passes over what it does not know.
	strict, lenient *openapi3.T
	paths           []path
	// outside are the answers to what has no operation, by status.
	outside map[int]*openapi3.Response
}

// path is a path of the document, and what it matches.
type path struct {
	template string
	pattern  *regexp.Regexp
}

// Open returns a function that reads a document once: for a variable of a test package.
func Open(name string) func(testing.TB) *Document {
	read := sync.OnceValues(func() (*Document, error) { return parse(name) })
	return func(t testing.TB) *Document {
		t.Helper()
		d, err := read()
		if err != nil {
			t.Fatalf("cannot read %s: %v", name, err)
		}
		return d
	}
}

func parse(name string) (*Document, error) {
	text, err := openapi.Read(name)
	if err != nil {
		return nil, err
	}
	d := &Document{name: name, outside: map[int]*openapi3.Response{}}
	if d.lenient, err = openapi3.NewLoader().LoadFromData(text); err != nil {
		return nil, err
	}
	if d.strict, err = openapi3.NewLoader().LoadFromData(text); err != nil {
		return nil, err
	}
	for _, s := range d.strict.Components.Schemas {
		closeObjects(s)
	}
	for _, r := range d.strict.Components.Responses {
		if status, ok := r.Value.Extensions["x-edged-outside"]; ok {
			d.outside[int(status.(float64))] = r.Value
		}
	}
	for _, template := range slices.Sorted(maps.Keys(d.strict.Paths.Map())) {
		d.paths = append(d.paths, path{template, pattern(template)})
	}
	// A word of its own goes before a variable that would take it, too.
	slices.SortStableFunc(d.paths, func(a, b path) int { return strings.Count(a.template, "{") - strings.Count(b.template, "{") })
	return d, nil
}

// closeObjects refuses members that an object with known ones does not name.
func closeObjects(ref *openapi3.SchemaRef) {
	if ref == nil || ref.Ref != "" {
		return // those of components are gone through on their own
	}
	s := ref.Value
	if len(s.Properties) > 0 && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
		s.AdditionalProperties.Has = new(bool)
	}
	closeObjects(s.Items)
	closeObjects(s.AdditionalProperties.Schema)
	for _, inner := range s.Properties {
		closeObjects(inner)
	}
	for _, inner := range slices.Concat(s.OneOf, s.AnyOf) {
		closeObjects(inner)
	}
}

var variable = regexp.MustCompile(`\{[^}]+\}`)

// pattern is what edged takes for a path: {key} and {selector} have slashes, words behind a
// variable have any case, and a collection may have a slash at its end.
func pattern(template string) *regexp.Regexp {
	var b strings.Builder
	last := 0
	for i, at := range variable.FindAllStringIndex(template, -1) {
		if i > 0 {
			b.WriteString("(?i)")
		}
		b.WriteString(regexp.QuoteMeta(template[last:at[0]]))
		switch template[at[0]:at[1]] {
		case "{key}", "{selector}":
			b.WriteString("(.*)")
		default:
			b.WriteString("([^/]+)")
		}
		last = at[1]
	}
	if last > 0 {
		b.WriteString("(?i)")
	}
	b.WriteString(regexp.QuoteMeta(template[last:]))
	if strings.Count(template, "/") == 1 {
		b.WriteString("/?")
	}
	return regexp.MustCompile("^" + b.String() + "$")
}

// find returns the template that an escaped path is of; empty when it is of none.
func (d *Document) find(escaped string) string {
	for _, p := range d.paths {
		if p.pattern.MatchString(escaped) {
			return p.template
		}
	}
	return ""
}

// expression is what a variable of a mux template has to match.
var expression = regexp.MustCompile(`\{([^:}]+):[^}]*\}`)

// Routes holds the operations of the document and the routes of an API to each other: each
// has the other, with the same version and rule.
func (d *Document) Routes(t testing.TB, routes []httpapi.Route) {
	t.Helper()
	for _, problem := range d.differences(routes) {
		t.Errorf("%s: %s", d.name, problem)
	}
}

func (d *Document) differences(routes []httpapi.Route) (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	known := map[string]bool{}
	for i := range routes {
		r := &routes[i]
		template := expression.ReplaceAllString(r.Path, "{$1}")
		name := r.Method + " " + template
		known[name] = true
		item := d.lenient.Paths.Value(template)
		if item == nil || item.GetOperation(r.Method) == nil {
			say("there is a route %s and no such operation", name)
			continue
		}
		op := item.GetOperation(r.Method)
		if rule := text(op.Extensions["x-edged-rule"]); rule != r.Rule.Name() {
			say("%s: x-edged-rule is %q, and the rule of the route is %q", name, rule, r.Rule.Name())
		}
		if since := text(op.Extensions["x-edged-since"]); since != r.Since {
			say("%s: x-edged-since is %q, and the route's version is %q", name, since, r.Since)
		}
		parameters := d.parameters(op, template)
		version := parameters.GetByInAndName(openapi3.ParameterInQuery, "api-version")
		if (version != nil) != (r.Since != "") {
			say("%s: the parameter api-version belongs to operations with a version, and to them alone", name)
		}
		for _, v := range variable.FindAllString(template, -1) {
			if parameters.GetByInAndName(openapi3.ParameterInPath, strings.Trim(v, "{}")) == nil {
				say("%s: the parameter %s of the path is missing", name, v)
			}
		}
	}
	for template, item := range d.lenient.Paths.Map() {
		for method := range item.Operations() {
			if name := method + " " + template; !known[name] {
				say("there is an operation %s and no such route", name)
			}
		}
	}
	slices.Sort(problems)
	return problems
}

// parameters are those of an operation and of its path.
func (d *Document) parameters(op *openapi3.Operation, template string) openapi3.Parameters {
	return slices.Concat(op.Parameters, d.lenient.Paths.Value(template).Parameters)
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// response is what the document says of an answer; nil when it says nothing.
func (d *Document) response(op *openapi3.Operation, status int) *openapi3.Response {
	if op == nil {
		return d.outside[status]
	}
	if ref := op.Responses.Value(strconv.Itoa(status)); ref != nil {
		return ref.Value
	}
	return nil
}

// operation is the one of a request; nil when there is none.
func operation(doc *openapi3.T, template, method string) *openapi3.Operation {
	if template == "" {
		return nil
	}
	switch method { // GetOperation panics for others
	case http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodPatch, http.MethodHead, http.MethodOptions:
		return doc.Paths.Value(template).GetOperation(method)
	}
	return nil
}
