// Package httpapi is what edged's sockets share: a table of routes with their
// rules, api-versions, JSON in and out, errors to statuses, limits, and the repair
// of Host headers.
//
// The way of a request is one, and each step happens once: api-version, route,
// method, who, may they, content type and body, handler. A handler decodes, calls
// one domain method, and encodes; it never picks a status for an error.
package httpapi
