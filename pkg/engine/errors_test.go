package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestErrorsOfTheClientHaveAClass(t *testing.T) {
	for _, err := range []error{
		status.Error(codes.Unavailable, "x"), errors.New("dial unix /run/containerd/containerd.sock: connect: connection refused"), errors.New("error while dialing: x"),
		context.DeadlineExceeded, status.Error(codes.DeadlineExceeded, "x"), fmt.Errorf("x: %w", errdefs.ErrUnavailable),
	} {
		require.True(t, errdefs.IsUnavailable(classify(fmt.Errorf("call: %w", err))), "%v", err)
		require.ErrorIs(t, classify(err), err)
	}
	require.NoError(t, classify(nil))
	for _, err := range []error{errdefs.ErrNotFound, errors.New("x"), context.Canceled} {
		require.Equal(t, err, classify(err))
	}
}

func TestASpecThatCannotRunIsItsAuthorsToMend(t *testing.T) {
	const runc = `failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: `
	for text, want := range map[string]string{
		runc + `exec: "/nope": stat /nope: no such file or directory: unknown`: `the runtime cannot run it: unable to start container process: error during container init: exec: "/nope": stat /nope: no such file or directory: invalid argument`,
		"OCI runtime create failed: something else: unknown":                   "the runtime cannot run it: OCI runtime create failed: something else: invalid argument",
	} {
		err := classifyStart(errors.New(text))
		require.True(t, errdefs.IsInvalidArgument(err))
		require.EqualError(t, err, want)
	}
	for _, passing := range []string{"no space left on device", "cannot allocate memory", "resource temporarily unavailable", "too many open files", "device or resource busy"} {
		err := classifyStart(errors.New(runc + passing + ": unknown"))
		require.True(t, errdefs.IsUnavailable(err), passing)
		require.False(t, errdefs.IsInvalidArgument(err), passing)
	}
	require.NoError(t, classifyStart(nil))
	require.True(t, errdefs.IsUnavailable(classifyStart(status.Error(codes.Unavailable, "x"))))
	plain := errors.New("ttrpc: closed")
	require.Equal(t, plain, classifyStart(plain))
}

func TestLayersThatCannotBeUnpackedAreToldFromADeviceThatCannotUnpack(t *testing.T) {
	const apply = `apply layer error for "app:1": failed to extract layer sha256:00: `
	for _, err := range []error{
		errors.New(apply + "invalid tar header"), errors.New(apply + "link /etc/shadow: no such file or directory"), errors.New("its manifest has nothing"),
		status.Error(codes.Unknown, apply+"mkdir /x: not a directory"),
	} {
		require.True(t, errdefs.IsInvalidArgument(classifyUnpack(err)), "%v", err)
		require.False(t, errdefs.IsUnavailable(classifyUnpack(err)), "%v", err)
	}
	for _, err := range []error{
		status.Error(codes.Unavailable, "error reading from server: EOF"), status.Error(codes.Canceled, "context canceled"), context.Canceled, io.EOF,
		fmt.Errorf("%w: parent snapshot does not exist: %w", errNotWhole, errdefs.ErrInvalidArgument), errors.New(apply + "write /x: input/output error"),
		errors.New(apply + "mkdir /x: read-only file system"), errors.New(apply + "cannot allocate memory"),
	} {
		require.True(t, errdefs.IsUnavailable(classifyUnpack(fmt.Errorf("cannot unpack image: %w", err))), "%v", err)
	}
	full := errors.New(apply + "write /x: no space left on device")
	require.Equal(t, full, classifyUnpack(full), "it has a class of its own")
}

func TestARegistrysNoIsToldFromItsAbsence(t *testing.T) {
	answer := func(code int) error {
		return fmt.Errorf("pull: %w", remoteerrors.ErrUnexpectedStatus{Status: http.StatusText(code), StatusCode: code})
	}
	for name, err := range map[string]error{
		"401": answer(401), "403": answer(403), "404": answer(404), "not found": errdefs.ErrNotFound, "authorization": docker.ErrInvalidAuthorization, "invalid": errdefs.ErrInvalidArgument,
	} {
		got := classifyPull("r.example/i:1", err)
		require.True(t, errdefs.IsInvalidArgument(got), name)
		require.False(t, errdefs.IsUnavailable(got), name)
		require.ErrorContains(t, got, "cannot pull image r.example/i:1")
	}
	for name, err := range map[string]error{
		"500": answer(500), "429": answer(429), "503": answer(503), "dns": errors.New("no such host"), "time": context.DeadlineExceeded, "left": context.Canceled,
		"the lease expired": fmt.Errorf("unable to lease content: lease does not exist: %w", errdefs.ErrNotFound),
	} {
		require.True(t, errdefs.IsUnavailable(classifyPull("i", err)), name)
	}
	require.NoError(t, classifyPull("i", nil))
}
