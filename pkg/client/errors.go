package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/client/wire"
)

// Error is edged's no. It has the errdefs class of its status, so that
// errdefs.IsNotFound and the like hold for it.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is the error_code of the APIs that have one.
	Code string
	// Message is edged's own, for a person; it may repeat what a module or a registry said.
	Message string
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the classes of the status. 409 has two: edged answers it for what
// exists already and for what is in the way.
func (e *Error) Unwrap() []error {
	switch e.Status {
	case http.StatusUnauthorized:
		// edged asks nobody for a name: the APIs that say so mean 403.
		return []error{errdefs.ErrPermissionDenied}
	case http.StatusForbidden:
		return []error{errdefs.ErrPermissionDenied}
	case http.StatusNotFound:
		return []error{errdefs.ErrNotFound}
	case http.StatusNotAcceptable:
		return []error{errdefs.ErrFailedPrecondition}
	case http.StatusConflict:
		return []error{errdefs.ErrAlreadyExists, errdefs.ErrConflict}
	case http.StatusRequestTimeout, http.StatusServiceUnavailable:
		return []error{errdefs.ErrUnavailable}
	case http.StatusTooManyRequests, http.StatusInsufficientStorage:
		return []error{errdefs.ErrResourceExhausted}
	case http.StatusNotImplemented:
		return []error{errdefs.ErrNotImplemented}
	}
	switch e.Status / 100 {
	case 4:
		return []error{errdefs.ErrInvalidArgument}
	case 5:
		return []error{errdefs.ErrInternal}
	}
	return []error{errdefs.ErrUnknown}
}

func readError(resp *http.Response) error {
	e := &Error{Status: resp.StatusCode}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxError))
	var body struct {
		wire.PackageError        // the one with more members
		Detail            string `json:"detail"` // the catalog's
		Cause             string `json:"cause"`  // the bundles', of what the framework refused
	}
	switch {
	case err != nil:
	case json.Unmarshal(b, &body) == nil:
		e.Code, e.Message = body.ErrorCode, cmp.Or(body.Message, body.Detail)
		if body.Cause != "" {
			e.Message += ": " + body.Cause
		}
	case resp.StatusCode == http.StatusUnauthorized:
		e.Message = strings.TrimSpace(string(b)) // the bundles' refusal is plain text
	}
	if e.Message == "" {
		// Not edged's shape: what refuses a connection before it knows the contract has none.
		e.Message = strings.ToLower(http.StatusText(resp.StatusCode))
		if e.Message == "" {
			e.Message = fmt.Sprintf("status %d", resp.StatusCode)
		}
	}
	return e
}

// UnreachableError says that no answer came: there is no socket, nobody listens on
// it, it may not be opened, or the connection broke. It is errdefs.Unavailable or,
// when the socket may not be opened, errdefs.PermissionDenied.
type UnreachableError struct {
	// Path is the socket's.
	Path string
	// Hint says what a person can do, empty when nothing is known.
	Hint string
	Err  error
}

func (e *UnreachableError) Error() string {
	s := fmt.Sprintf("cannot reach edged at %s: %v", e.Path, e.Err)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap returns the class and the cause.
func (e *UnreachableError) Unwrap() []error {
	if errors.Is(e.Err, fs.ErrPermission) {
		return []error{errdefs.ErrPermissionDenied, e.Err}
	}
	return []error{errdefs.ErrUnavailable, e.Err}
}

func unreachable(path string, err error) error {
	e := &UnreachableError{Path: path, Err: err}
	// The path stands in the message already; of a dial the errno is what matters.
	var errno syscall.Errno
	if errors.As(err, &errno) {
		e.Err = errno
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Hint = "is edged installed and its socket enabled? " + HostVariable + " names another one"
	case errors.Is(err, fs.ErrPermission):
		e.Hint = "be root or a member of the group edged"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Hint = "nobody listens there: is edged or its socket unit running?"
	case errors.Is(err, syscall.ENOTSOCK), errors.Is(err, syscall.EPROTOTYPE):
		e.Hint = "this is no stream socket"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		e.Hint = "the connection broke: did edged stop?"
	case errors.Is(err, context.DeadlineExceeded):
		e.Hint = "it did not answer in time"
	}
	return e
}
