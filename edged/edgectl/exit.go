package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/client"
)

// Exit codes. Scripts rely on them: they are in the help and never change.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitNotFound
	exitForbidden
	exitUnreachable
)

// usageError is a fault of the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// reported is an error that was printed already, with its exit code.
type reported struct{ code int }

func (e reported) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func exitCode(err error) int {
	var (
		done  reported
		usage usageError
		gone  *client.UnreachableError
	)
	switch {
	case errors.As(err, &done):
		return done.code
	case errors.As(err, &usage):
		return exitUsage
	case errdefs.IsPermissionDenied(err):
		return exitForbidden
	case errors.As(err, &gone):
		return exitUnreachable
	case errdefs.IsNotFound(err):
		return exitNotFound
	}
	return exitFailed
}

// fail prints an error of the command at path and returns its exit code.
func (a *app) fail(path string, err error) int {
	var done reported
	if errors.As(err, &done) {
		return done.code
	}
	a.complain(err)
	code := exitCode(err)
	if code == exitUsage {
		fmt.Fprintf(a.err, "See '%s --help'.\n", path)
	}
	return code
}

// complain prints an error. Its text may be a registry's or a module's, so nothing
// in it reaches the terminal but as text.
func (a *app) complain(err error) {
	fmt.Fprintln(a.err, "edgectl:", printable(explain(err)))
}

// explain adds to a refusal, of which edged tells clients nothing, what may be the cause.
func explain(err error) string {
	var no *client.Error
	if errors.As(err, &no) && errdefs.IsPermissionDenied(no) {
		return err.Error() + ": edged refused this caller; its audit log says why. Modules are made, changed and removed by the module edgeAgent alone; deployments are given to it, and images pulled and removed, by root and group edged; " +
			"packages are for whom the configuration grants view_cluster_modules and update_cluster, bundles for whom it grants adminTemplates; " +
			"everything else may be asked by root and members of the group edged, from a process of the host itself and not of another container"
	}
	text := err.Error()
	// The class says what the text says already.
	for _, class := range []error{errdefs.ErrInvalidArgument, errdefs.ErrFailedPrecondition, errdefs.ErrNotFound, errdefs.ErrDataLoss, errdefs.ErrUnavailable} {
		text = strings.TrimSuffix(text, ": "+class.Error())
	}
	return text
}

// each does something for every name, prints what fails and goes on.
func (a *app) each(names []string, do func(name string) error) error {
	var first error
	for _, name := range names {
		if err := do(name); err != nil {
			a.complain(fmt.Errorf("%s: %w", name, err))
			if first == nil {
				first = reported{exitCode(err)}
			}
		}
	}
	return first
}
