package httpapi

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestEveryClassHasItsStatus(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{errdefs.ErrInvalidArgument, 400},
		{errdefs.ErrPermissionDenied, 403},
		{errdefs.ErrNotFound, 404},
		{errdefs.ErrAlreadyExists, 409},
		{errdefs.ErrConflict, 409},
		{errdefs.ErrFailedPrecondition, 409},
		{errdefs.ErrNotImplemented, 501},
		{errdefs.ErrUnavailable, 503},
		{errdefs.ErrResourceExhausted, 507},
		{context.DeadlineExceeded, 503},
		{context.Canceled, 503},
		{errdefs.ErrInternal, 500},
		{errdefs.ErrUnknown, 500},
		{errdefs.ErrDataLoss, 500},
		{errors.New("no class"), 500},
		{BadRequest("x"), 400},
		{TooLarge(1), 413},
	} {
		for _, err := range []error{tc.err, fmt.Errorf("cannot do: %w", tc.err), errors.Join(tc.err, errors.New("and more"))} {
			require.Equal(t, tc.want, Status(err), "%v", err)
		}
	}
}

func TestWhatMayPassWinsOverWhatTheClientWouldHaveToMend(t *testing.T) {
	require.Equal(t, 503, Status(fmt.Errorf("pull: %w: %w", errdefs.ErrNotFound, errdefs.ErrUnavailable)))
	require.Equal(t, 400, Status(fmt.Errorf("pull: %w: %w", errdefs.ErrNotFound, errdefs.ErrInvalidArgument)))
	require.Equal(t, 413, Status(fmt.Errorf("%w: %w", errdefs.ErrUnavailable, TooLarge(1))))
}

func TestMessagesKeepTheirCauseAndLoseTheirClass(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("module %q not found: %w", "x", errdefs.ErrNotFound), `module "x" not found`},
		{fmt.Errorf("a: %w: %w", errdefs.ErrInvalidArgument, errdefs.ErrUnavailable), "a"},
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w", errdefs.ErrConflict)), "a: b"},
		{fmt.Errorf("a: %w: b", errdefs.ErrNotFound), "a: not found: b"},
		{fmt.Errorf("the work goes on: %w", context.Canceled), "the work goes on"},
		{errdefs.ErrNotFound, "not found"},
		{errors.New("cannot read: input/output error"), "cannot read: input/output error"},
		{fmt.Errorf("forbidden by rule agent: not_agent: %w", errdefs.ErrPermissionDenied), "forbidden"},
		{BadRequest("invalid parameter: tail"), "invalid parameter: tail"},
	} {
		require.Equal(t, tc.want, Message(tc.err))
	}
}
