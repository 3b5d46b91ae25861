package reconcile

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/client"
)

// Failure says which modules are not as they shall be, and why. Modules is empty
// when the reason concerns none of them alone.
type Failure struct {
	Cause   error
	Modules map[string]error
	// Final says that another try would end the same: the fault is the deployment's.
	Final bool
}

func (f *Failure) Error() string { return f.Cause.Error() }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// unhealthyError is of a module that runs and is not what it should be. It is final.
type unhealthyError struct{ text string }

func (e *unhealthyError) Error() string { return e.text }

// ends says that there is no point in asking edged for more.
func ends(ctx context.Context, err error) bool { return ctx.Err() != nil || Unreachable(err) }

// Unreachable says that edged gave no answer. That is nobody's fault and passes.
func Unreachable(err error) bool {
	var gone *client.UnreachableError
	return errors.As(err, &gone)
}

// final says that a module's failure will not pass: edged called what it was asked for
// wrong, or it was given its time to become healthy.
func final(err error) bool {
	var sick *unhealthyError
	return errors.As(err, &sick) || errdefs.IsInvalidArgument(err) || errdefs.IsNotFound(err)
}

// failure puts together what failed, nil for nothing; the first module in the order of
// steps is the cause.
func failure(steps []step, failed map[string]error) error {
	if len(failed) == 0 {
		return nil
	}
	f := &Failure{Modules: failed}
	for _, s := range steps {
		if err := failed[s.name]; err != nil && f.Cause == nil {
			f.Cause = fmt.Errorf("module %s: %w", s.name, err)
		}
	}
	for name, err := range failed {
		f.Final = f.Final || final(err)
		if f.Cause == nil {
			f.Cause = fmt.Errorf("module %s: %w", name, err)
		}
	}
	return f
}
