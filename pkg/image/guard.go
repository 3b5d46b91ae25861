package image

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// WithoutUsers runs remove, which removes an image by a way of its own, while no
// generation of a module names the image and none can come to: who wants it waits, and
// then does not find it. The error is FailedPrecondition, and says who uses it.
func (k *Keeper) WithoutUsers(ctx context.Context, name, digest string, remove func(ctx context.Context) error) error {
	end, ok := k.gate.begin(name)
	if !ok {
		return fmt.Errorf("a module is being made of image %s, or it is being removed: %w", name, errdefs.ErrFailedPrecondition)
	}
	defer end()
	named, err := k.Store.NamedImages(ctx)
	if err != nil {
		return err
	}
	if names := users(named, &Image{Name: name, Digest: digest}); len(names) > 0 {
		return fmt.Errorf("image %s is named by %s: %w", name, strings.Join(names, ", "), errdefs.ErrFailedPrecondition)
	}
	if err := remove(ctx); err != nil {
		return err
	}
	return k.Store.ForgetImage(ctx, name)
}
