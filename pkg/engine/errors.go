package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// classify gives an error of the containerd client its class where the client
// gives none: a connection refused is worth repeating, a call that took too long too.
func classify(err error) error {
	switch {
	case err == nil, errdefs.IsUnavailable(err):
		return err
	case status.Code(err) == codes.Unavailable,
		strings.Contains(err.Error(), "connection refused"),
		strings.Contains(err.Error(), "error while dialing"):
		return fmt.Errorf("containerd cannot be reached: %w: %w", err, errdefs.ErrUnavailable)
	case errors.Is(err, context.DeadlineExceeded), status.Code(err) == codes.DeadlineExceeded:
		return fmt.Errorf("containerd did not answer in time: %w: %w", err, errdefs.ErrUnavailable)
	}
	return err
}

// classifyStart tells a spec that cannot run, which its author can mend, from a
// device that cannot run it now. runc reports both as text from the shim.
func classifyStart(err error) error {
	err = classify(err)
	if err == nil || errdefs.IsUnavailable(err) {
		return err
	}
	text := err.Error()
	if !strings.Contains(text, "OCI runtime create failed") && !strings.Contains(text, "runc create failed") {
		return err
	}
	if slices.ContainsFunc(passing, func(part string) bool { return strings.Contains(text, part) }) {
		return fmt.Errorf("%w: %w", err, errdefs.ErrUnavailable)
	}
	// runc prefixes every layer it passes through; the operator needs the last words.
	cause := text
	if i := strings.LastIndex(text, "runc create failed: "); i >= 0 {
		cause = text[i+len("runc create failed: "):]
	}
	return fmt.Errorf("the runtime cannot run it: %s: %w", strings.TrimSuffix(cause, ": unknown"), errdefs.ErrInvalidArgument)
}

// passing are faults of the device, in the words of the kernel, that say nothing of what is run or unpacked.
var passing = []string{"no space left", "cannot allocate memory", "resource temporarily unavailable", "too many open files", "device or resource busy"}

// classifyUnpack tells layers that cannot be unpacked from a device that cannot do it now,
// and from a containerd that ends in the middle. containerd reports all of it as text.
func classifyUnpack(err error) error {
	err = classify(err)
	text := err.Error()
	says := func(part string) bool { return strings.Contains(text, part) }
	switch {
	case errdefs.IsUnavailable(err), isFull(err):
		return err
	case errors.Is(err, errNotWhole), errdefs.IsCanceled(err), status.Code(err) == codes.Canceled, errors.Is(err, io.EOF),
		slices.ContainsFunc(passing, says), says("input/output error"), says("read-only file system"):
		return fmt.Errorf("%w: %w", err, errdefs.ErrUnavailable)
	}
	return fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
}

// classifyPull tells a registry's no, which stays no, from one that cannot be
// reached, where a later try may help.
func classifyPull(ref string, err error) error {
	var st remoteerrors.ErrUnexpectedStatus
	switch {
	case err == nil:
		return nil
	case errors.As(err, &st) && (st.StatusCode == 401 || st.StatusCode == 403):
		return fmt.Errorf("cannot pull image %s: the registry refuses the credentials (%d): %w", ref, st.StatusCode, errdefs.ErrInvalidArgument)
	case errors.Is(err, docker.ErrInvalidAuthorization):
		return fmt.Errorf("cannot pull image %s: the registry asks for other credentials: %w", ref, errdefs.ErrInvalidArgument)
	case isLeaseGone(err):
		return fmt.Errorf("cannot pull image %s: what was fetched of it was dropped: %w: %w", ref, err, errdefs.ErrUnavailable)
	case errors.As(err, &st) && st.StatusCode == 404, errdefs.IsNotFound(err):
		return fmt.Errorf("cannot pull image %s: it is not in its registry, or not for this platform: %w", ref, errdefs.ErrInvalidArgument)
	case errdefs.IsInvalidArgument(err):
		return fmt.Errorf("cannot pull image %s: %w", ref, err)
	}
	return fmt.Errorf("cannot pull image %s: %w: %w", ref, err, errdefs.ErrUnavailable)
}

// ignoreNotFound makes removing what is gone a success.
func ignoreNotFound(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
