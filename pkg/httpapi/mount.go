package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/gorilla/mux"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/metrics"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
)

// Handler serves one route. An error becomes an answer in the mount's own shape.
type Handler func(w http.ResponseWriter, r *Request) error

// Route is one line of a mount's table.
type Route struct {
	Method string
	// Path is a gorilla/mux template. {name} is a module's name.
	Path string
	// Since is the api-version that brought the route; empty for mounts without versions.
	Since string
	// Rule says who may use it. A route without one panics at registration.
	Rule access.Rule
	// Fits says whether the variables of the path are such as a route has, where the template
	// cannot; it holds for all routes of the path. Others are of no route.
	Fits func(*Request) bool
	// Change marks routes whose success goes to the audit log.
	Change bool
	// Body is the largest body in bytes, where it is not the mount's.
	Body   int64
	Handle Handler

	count *metrics.Route
}

// Mount is one API on a socket: routes, an error shape, and whether it has api-versions.
type Mount struct {
	// Name is the API's in metrics.
	Name   string
	Routes []Route
	// Versions makes every request name one of the known api-versions.
	Versions bool
	// WriteError answers with an error in this API's own shape.
	WriteError func(w http.ResponseWriter, status int, err error)
	// Refusal is the status of a refusal in this API, where it is not 403.
	Refusal int
	// Slashes redirects a path that lacks the slash at the end of a route's, whatever the
	// method.
	Slashes bool
	// Vary, when set, makes every answer of a route say so, and which methods its path has,
	// in the order of the table.
	Vary string

	Decider *access.Decider
	Audit   *audit.Log
	// Requests counts them; nil counts none.
	Requests *metrics.Requests
	Limits   Limits
}

// Request is an HTTP request whose caller is known and allowed.
type Request struct {
	*http.Request
	Caller peer.Caller
	// Module is the canonical name of the module that the path names.
	Module string
	// Volume, Package, Build and Bundle are what the path or the body names, Revision is of the
	// manifest that the body has, and Comment what the caller said of it; handlers set them,
	// for the audit log.
	Volume, Package, Build, Bundle, Revision, Comment string
	Query                                             url.Values
	limits                                            Limits
	w                                                 http.ResponseWriter
	// streamed says that the body was begun to be read.
	streamed bool
}

// resource is the routes of one path.
type resource struct {
	mount  *Mount
	path   string
	routes []Route
	// other counts requests with a method that no route has.
	other *metrics.Route
}

// Handler builds the mount's router. It panics on a table that is wrong: a defect
// that no test can miss.
func (m *Mount) Handler() http.Handler {
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	byPath := map[string]*resource{}
	unknown := m.Requests.Route(m.Name, metrics.Other, metrics.Other)
	for _, route := range m.Routes {
		switch {
		case route.Rule.IsZero():
			panic(fmt.Sprintf("route %s %s has no access rule", route.Method, route.Path))
		case route.Handle == nil:
			panic(fmt.Sprintf("route %s %s has no handler", route.Method, route.Path))
		case m.Versions && versionIndex(route.Since) < 0:
			panic(fmt.Sprintf("route %s %s has no api-version", route.Method, route.Path))
		case m.Requests != nil && m.Name == "":
			panic(fmt.Sprintf("route %s %s is of no API that could be counted", route.Method, route.Path))
		}
		res := byPath[route.Path]
		if res == nil {
			res = &resource{mount: m, path: route.Path, other: m.Requests.Route(m.Name, route.Path, metrics.Other)}
			byPath[route.Path] = res
			router.Handle(pattern(route.Path), res)
			if without, ok := strings.CutSuffix(pattern(route.Path), "/"); ok && m.Slashes {
				router.Handle(without, counted(unknown, m.addSlash))
			}
		}
		if slices.ContainsFunc(res.routes, func(r Route) bool { return r.Method == route.Method }) {
			panic(fmt.Sprintf("route %s %s is registered twice", route.Method, route.Path))
		}
		route.count = m.Requests.Route(m.Name, route.Path, route.Method)
		res.routes = append(res.routes, route)
	}
	router.NotFoundHandler = counted(unknown, func(w http.ResponseWriter, r *http.Request) {
		if _, err := m.version(r.URL.Query()); err != nil {
			m.fail(w, err)
			return
		}
		m.fail(w, errNotFound)
	})
	return router
}

var errNotFound = NotFound("not found")

// pattern makes the words behind a variable match in any case, and a collection
// match with a slash at its end: clients in the field send both.
func pattern(path string) string {
	parts := strings.Split(path, "/")
	variable := false
	for i, p := range parts {
		switch {
		case strings.HasPrefix(p, "{"):
			variable = true
		case variable && p != "":
			parts[i] = fmt.Sprintf("{_%d:(?i:%s)}", i, p)
		}
	}
	if len(parts) == 2 && parts[1] != "" {
		return "/" + parts[1] + "{_slash:/?}"
	}
	return strings.Join(parts, "/")
}

// counted counts requests that no route is for.
func counted(count *metrics.Route, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := newAnswer(w, count)
		defer answer.done()
		h(answer, r)
		answer.whole = true
	})
}

func (res *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := newAnswer(w, res.other)
	defer answer.done()
	res.serve(answer, w, r)
	answer.whole = true
}

// serve takes the steps of a request, each once and in this order. What writes is answer;
// what reads needs the server's own writer, too.
func (res *resource) serve(answer *answerWriter, w http.ResponseWriter, r *http.Request) {
	m := res.mount
	query := r.URL.Query()
	version, err := m.version(query)
	if err != nil {
		m.fail(answer, err)
		return
	}
	req := &Request{Request: r, Query: query, limits: m.Limits, w: w}
	if fits := res.routes[0].Fits; unclean(r.URL) || fits != nil && !fits(req) {
		m.fail(answer, errNotFound)
		return
	}
	route := res.route(r.Method, version)
	if m.Vary != "" {
		answer.Header().Set("Allow", res.allow(version))
		answer.Header().Set("Vary", m.Vary)
	}
	if route == nil {
		if allow := res.allow(version); allow != "" {
			answer.Header().Set("Allow", allow)
			m.fail(answer, &MethodError{r.Method})
		} else {
			m.fail(answer, errNotFound)
		}
		return
	}
	answer.count = route.count
	if route.Body > 0 {
		req.limits.Body = route.Body
	}
	nameErr := req.name()
	err = m.admit(req, route)
	answer.kind = req.Caller.Kind
	switch {
	case errdefs.IsUnavailable(err):
		m.fail(answer, err)
		return
	case err != nil:
		m.refuse(answer, req, route, err)
		return
	}
	if nameErr != nil {
		m.fail(answer, nameErr)
		return
	}
	if err := route.Handle(answer, req); err != nil {
		if answer.begun {
			// A stream that broke: the client sees it end, there is no status to give any more.
			panic(http.ErrAbortHandler)
		}
		var refusal *access.Refusal
		if errors.As(err, &refusal) {
			m.refuse(answer, req, route, refusal) // for what the body names
			return
		}
		m.fail(answer, err)
	}
	// What could not be done to its end may have been begun.
	if route.Change && (answer.status < 400 || answer.status >= 500) {
		m.Audit.Change(audit.Event{
			Caller: req.Caller, Method: route.Method, Route: route.Path, Module: req.Module, Volume: req.Volume, Package: req.Package, Build: req.Build, Bundle: req.Bundle,
			Revision: req.Revision, Comment: req.Comment, Status: answer.status,
		})
	}
}

// addSlash redirects to the path with a slash at its end. The path is one that a route's
// pattern matched, so it leads to nowhere else.
func (m *Mount) addSlash(w http.ResponseWriter, r *http.Request) {
	if unclean(r.URL) {
		m.fail(w, errNotFound)
		return
	}
	to := r.URL.EscapedPath() + "/"
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	h := w.Header()
	h.Set("Location", to)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusMovedPermanently)
}

// route finds the route of a method that the version knows.
func (res *resource) route(method string, version int) *Route {
	for i := range res.routes {
		if r := &res.routes[i]; r.Method == method && versionIndex(r.Since) <= version {
			return r
		}
	}
	return nil
}

// allow lists the methods that the version knows.
func (res *resource) allow(version int) string {
	var methods []string
	for _, r := range res.routes {
		if versionIndex(r.Since) <= version {
			methods = append(methods, r.Method)
		}
	}
	if res.mount.Vary == "" {
		slices.Sort(methods)
	}
	return strings.Join(methods, ", ")
}

// name reads {name} from the path, unescaping it once: the same value goes to the
// rule and to the handler.
func (req *Request) name() error {
	escaped, ok := mux.Vars(req.Request)["name"]
	if !ok {
		return nil
	}
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return BadRequest("invalid module name in the path")
	}
	req.Module, err = module.CanonicalName(name)
	return err
}

// Var reads a variable of the path other than {name}, unescaping it once.
func (req *Request) Var(name string) (string, error) {
	value, err := url.PathUnescape(mux.Vars(req.Request)[name])
	if err != nil {
		return "", BadRequest("invalid " + name + " in the path")
	}
	return value, nil
}

// admit finds out who is asking and whether they may.
func (m *Mount) admit(req *Request, route *Route) error {
	caller, err := peer.FromContext(req.Context())
	switch {
	case errdefs.IsUnavailable(err):
		return err // nothing was decided: edged has run out of descriptors or memory
	case err != nil:
		caller = peer.Caller{Reason: "no_identity"}
	}
	req.Caller = caller
	if caller.Kind != peer.Unknown && byBrowser(req.Header) {
		return &access.Refusal{Rule: route.Rule.Name(), Reason: access.ReasonBrowser, Caller: caller}
	}
	return m.Decider.Decide(route.Rule, caller, req.Module)
}

// byBrowser says whether a page in a browser sent the request: browsers add one of these
// headers to each that is of another site or no GET (Fetch, 3.2; Fetch Metadata), pages cannot
// take them away, and no client of these APIs has a use for them.
func byBrowser(h http.Header) bool {
	return h.Values("Origin") != nil || h.Values("Sec-Fetch-Site") != nil
}

// refuse answers a refusal and records why. The client is told nothing, and a
// client whose process is gone loses its connection, so that the next one on it is
// not refused for what its predecessor was.
func (m *Mount) refuse(w http.ResponseWriter, req *Request, route *Route, err error) {
	if peer.CloseAfter(req.Context()) {
		w.Header().Set("Connection", "close")
	}
	event := audit.Event{Caller: req.Caller, Method: route.Method, Route: route.Path, Module: req.Module, Status: cmp.Or(m.Refusal, http.StatusForbidden)}
	if r, ok := err.(*access.Refusal); ok { //nolint:errorlint // Decide returns it bare
		event.Rule, event.Reason = r.Rule, r.Reason
	}
	m.Requests.Refused(event.Rule, event.Reason)
	m.Audit.Refusal(event)
	m.fail(w, err)
}

func (m *Mount) fail(w http.ResponseWriter, err error) {
	m.WriteError(w, Status(err), err)
}

// unclean finds "//", "." and ".." standing in the path as they are: paths are never
// cleaned, so nothing may be reached through them.
func unclean(u *url.URL) bool {
	p := u.EscapedPath()
	return strings.Contains(p, "//") || strings.Contains(p, "/./") || strings.Contains(p, "/../") || strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..")
}

// answerWriter remembers what was answered, and counts it when it is done.
type answerWriter struct {
	http.ResponseWriter
	status int
	begun  bool

	count *metrics.Route
	kind  peer.Kind
	came  time.Time
	// whole says that no panic broke the answer off.
	whole bool
}

func newAnswer(w http.ResponseWriter, count *metrics.Route) *answerWriter {
	return &answerWriter{ResponseWriter: w, status: http.StatusOK, count: count, kind: metrics.NobodyAsked, came: time.Now()}
}

func (w *answerWriter) done() {
	status := w.status
	if !w.whole {
		status = metrics.Aborted
	}
	w.count.Done(w.kind, status, time.Since(w.came))
}

func (w *answerWriter) WriteHeader(status int) {
	w.status, w.begun = status, true
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
