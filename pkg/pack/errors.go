package pack

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
)

// Reason is the kind of fault that a package has.
type Reason string

// The reasons.
const (
	// Invalid packages are corrupt, dangerous or not what they say they are.
	Invalid Reason = "invalid"
	// Foreign packages are sound, and for another operating system or architecture.
	Foreign Reason = "foreign"
	// Dependencies are declared in a way that cannot be meant.
	Dependencies Reason = "dependencies"
	// Untrusted packages have no signature that counts, or a wrong one.
	Untrusted Reason = "untrusted"
)

// Error is why a package is refused. Its class is errdefs.InvalidArgument; errors that
// are none of these came from whatever the package was read from.
type Error struct {
	Reason Reason
	text   string
	cause  error
}

func (e *Error) Error() string { return e.text }

// Unwrap returns the class, and the cause if there is one.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{errdefs.ErrInvalidArgument}
	}
	return []error{errdefs.ErrInvalidArgument, e.cause}
}

// ReasonOf says what is wrong with a package; false for an error that says nothing of it.
func ReasonOf(err error) (Reason, bool) {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason, true
	}
	return "", false
}

// ErrLimit is in what is refused for its size: of too many files, or of too much in them.
var ErrLimit = errors.New("more than is taken")

// limited makes an Error of a package that is more than is taken.
func limited(format string, args ...any) error {
	e := &Error{Reason: Invalid, cause: ErrLimit}
	e.text = fmt.Sprintf(format, args...)
	return e
}

// Refuse makes an Error, for the packages beside this one that read formats of their own.
func Refuse(reason Reason, format string, args ...any) error { return fault(reason, format, args...) }

func invalid(format string, args ...any) error { return fault(Invalid, format, args...) }

func fault(reason Reason, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Reason: reason, text: err.Error(), cause: errors.Unwrap(err)}
}
