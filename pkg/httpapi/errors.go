package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
)

// statusError is an error of the HTTP layer itself, which has no errdefs class.
type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string { return e.message }

// Unsupported is a body of a type that the route does not take.
func Unsupported(message string) error {
	return &statusError{http.StatusUnsupportedMediaType, message}
}

// NotAcceptable is a request for an answer of another type than there is.
func NotAcceptable(message string) error { return &statusError{http.StatusNotAcceptable, message} }

// NotFound is a path that has no route.
func NotFound(message string) error { return &statusError{http.StatusNotFound, message} }

// IsRouting says that an error is the HTTP layer's, and of no domain.
func IsRouting(err error) bool {
	var own *statusError
	return errors.As(err, &own)
}

// BadRequest is an error about the request's own form: a query, a header.
func BadRequest(message string) error { return &statusError{http.StatusBadRequest, message} }

// MethodError is a method that a path has no route for.
type MethodError struct{ Method string }

func (*MethodError) Error() string { return "method not allowed" }

// classes maps what domain packages declare to statuses. The order matters for
// errors with several classes: the first that fits is taken.
var classes = []struct {
	is     func(error) bool
	class  error
	status int
}{
	{errdefs.IsUnavailable, errdefs.ErrUnavailable, http.StatusServiceUnavailable},
	{errdefs.IsPermissionDenied, errdefs.ErrPermissionDenied, http.StatusForbidden},
	{errdefs.IsInvalidArgument, errdefs.ErrInvalidArgument, http.StatusBadRequest},
	{errdefs.IsNotFound, errdefs.ErrNotFound, http.StatusNotFound},
	{errdefs.IsAlreadyExists, errdefs.ErrAlreadyExists, http.StatusConflict},
	{errdefs.IsConflict, errdefs.ErrConflict, http.StatusConflict},
	{errdefs.IsFailedPrecondition, errdefs.ErrFailedPrecondition, http.StatusConflict},
	{errdefs.IsOutOfRange, errdefs.ErrOutOfRange, http.StatusRequestEntityTooLarge},
	{errdefs.IsResourceExhausted, errdefs.ErrResourceExhausted, http.StatusInsufficientStorage},
	{errdefs.IsDeadlineExceeded, context.DeadlineExceeded, http.StatusServiceUnavailable},
	{errdefs.IsCanceled, context.Canceled, http.StatusServiceUnavailable},
	{errdefs.IsNotImplemented, errdefs.ErrNotImplemented, http.StatusNotImplemented},
}

// Status is the one map from an error to a status: 4xx is for the client to mend,
// 503 to repeat later, 500 a defect of ours or of the runtime.
func Status(err error) int {
	var own *statusError
	if errors.As(err, &own) {
		return own.status
	}
	var method *MethodError
	if errors.As(err, &method) {
		return http.StatusMethodNotAllowed
	}
	var body *BodyError
	if errors.As(err, &body) {
		return http.StatusBadRequest
	}
	for _, c := range classes {
		if c.is(err) {
			return c.status
		}
	}
	return http.StatusInternalServerError
}

// Message is what a client reads of an error: all that was wrapped, without the
// names of classes at its end, which say what the status says. A refusal gives no reason.
func Message(err error) string {
	if Status(err) == http.StatusForbidden {
		return "forbidden"
	}
	text := err.Error()
	for trimmed := true; trimmed; {
		trimmed = false
		for _, c := range classes {
			if s, ok := strings.CutSuffix(text, ": "+c.class.Error()); ok {
				text, trimmed = s, true
			}
		}
	}
	return text
}
