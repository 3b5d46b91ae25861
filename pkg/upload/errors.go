package upload

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/pack"
)

// Code says why a package is refused, in the words of the contract and, where it has
// none, in words of the same kind.
type Code string

// The codes of the contract.
const (
	NoModule                Code = "no_module"
	InvalidModule           Code = "invalid_module"
	ModuleExists            Code = "module_exists"
	MinRedisPackVersion     Code = "min_redis_pack_version"
	UnsupportedCapabilities Code = "unsupported_module_capabilities"
	OSNotSupported          Code = "os_not_supported"
	DependenciesUnsupported Code = "dependencies_not_supported"
	InvalidDependencyData   Code = "invalid_dependency_data"
)

// Codes that the contract has no word for.
const (
	ModuleInUse         Code = "module_in_use"
	ModuleNotFound      Code = "module_not_found"
	ActionNotFound      Code = "action_not_found"
	ModuleTooLarge      Code = "module_too_large"
	InsufficientStorage Code = "insufficient_storage"
	SignatureRequired   Code = "signature_required"
	InvalidSignature    Code = "invalid_signature"
	RollbackRefused     Code = "rollback_refused"
	DependencyNotFound  Code = "dependency_not_found"
	DependencyFailed    Code = "dependency_failed"
	TooManyUploads      Code = "too_many_uploads"
	Interrupted         Code = "interrupted"
)

// Error is a refusal with its code, and the errdefs class that goes with it.
type Error struct {
	Code Code
	// Text is for a person.
	Text string
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns the class.
func (e *Error) Unwrap() error {
	if class := classes[e.Code]; class != nil {
		return class
	}
	return errdefs.ErrInvalidArgument
}

// classes are those of the codes that are not about the package itself.
var classes = map[Code]error{
	ModuleExists:        errdefs.ErrAlreadyExists,
	ModuleInUse:         errdefs.ErrFailedPrecondition,
	ModuleNotFound:      errdefs.ErrNotFound,
	ActionNotFound:      errdefs.ErrNotFound,
	ModuleTooLarge:      errdefs.ErrOutOfRange,
	InsufficientStorage: errdefs.ErrResourceExhausted,
	DependencyNotFound:  errdefs.ErrNotFound,
	DependencyFailed:    errdefs.ErrUnavailable,
	TooManyUploads:      errdefs.ErrUnavailable,
	Interrupted:         errdefs.ErrAborted,
}

func refuse(code Code, format string, args ...any) error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of an error, empty for one that has none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// ofPack gives what is wrong with a package the code of the contract.
func ofPack(err error) error {
	reason, ok := pack.ReasonOf(err)
	if !ok {
		return err
	}
	code := InvalidModule
	switch reason {
	case pack.Foreign:
		code = OSNotSupported
	case pack.Dependencies:
		code = InvalidDependencyData
	case pack.Untrusted:
		code = InvalidSignature
	}
	return refuse(code, "the package is refused: %v", err)
}
