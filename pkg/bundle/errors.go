package bundle

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
)

// Refused is the framework's no.
type Refused struct {
	// Class is the exception's, with its package, and Text what it said.
	Class, Text string
	// Type is that of a BundleException; zero for others.
	Type int
	// Root is the exception at the bottom, class and text; empty when there is none below.
	Root string
}

func (e *Refused) Error() string { return e.Class + ": " + e.Text }

// Failed is an operation that the framework did not do. It has the class of its cause, if that
// has one.
type Failed struct {
	// Verb is what edged was doing: "starting". Bundle is the key, empty for an install.
	Verb, Bundle string
	Cause        error
}

func (e *Failed) Error() string {
	if e.Bundle == "" {
		return "Error while " + e.Verb + " bundle"
	}
	return "Error while " + e.Verb + " bundle " + e.Bundle
}

// Unwrap returns the cause.
func (e *Failed) Unwrap() error { return e.Cause }

// failed says what edged was doing when the framework said no. Other errors are the way they are.
func failed(verb, bundle string, err error) error {
	var no *Refused
	if errors.As(err, &no) {
		return &Failed{verb, bundle, err}
	}
	return err
}

func notFound(key string) error {
	return fmt.Errorf("Unable to find a module bundle corresponding to the key: %s: %w", key, errdefs.ErrNotFound) //nolint:staticcheck // the contract's text
}

func invalidKey(key string) error {
	return fmt.Errorf("Invalid module key: %s: %w", key, errdefs.ErrInvalidArgument) //nolint:staticcheck // the contract's text
}

// notABundle is the contract's text for bytes that are none.
const notABundle = "Unable to install module. Cause: Submitted bundle is either not a valid OSGi bundle or has no required manifest headers Bundle-SymbolicName and Implementation-Version/Bundle-Version"

// errNoHost is of what cannot be done on a device without a framework.
var errNoHost = fmt.Errorf("there is no OSGi framework on this device: install the package edged-osgi, or name an image in [bundles] host_image: %w", errdefs.ErrUnavailable)
