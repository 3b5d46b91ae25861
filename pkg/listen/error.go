package listen

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// invalid is an error of the class errdefs.ErrInvalidArgument that reads as its
// message alone.
func invalid(format string, args ...any) error {
	return &classed{error: fmt.Errorf(format, args...), class: errdefs.ErrInvalidArgument}
}

// classed gives an error a class without a word of the class in its text.
type classed struct {
	error
	class error
}

func (c *classed) Unwrap() []error { return []error{c.error, c.class} }
