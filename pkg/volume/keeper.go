package volume

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
)

// Uses is which modules there are and what they use.
type Uses struct {
	// Modules are all there are; anonymous volumes of these are in use.
	Modules map[string]bool
	// Named are the modules that use a named volume, by its name.
	Named map[string][]string
}

// Keeper is the operator's view: volumes with who uses them, and removing those that
// nobody does. A module uses a volume as long as it is there, running or not.
type Keeper struct {
	Store *Store
	// Uses may fail with errdefs.Unavailable as long as it is not known.
	Uses func(ctx context.Context) (Uses, error)
}

// List returns all volumes by name, with their users.
func (k *Keeper) List(ctx context.Context) ([]Volume, error) {
	uses, err := k.Uses(ctx)
	if err != nil {
		return nil, err
	}
	all, err := k.Store.List()
	for i := range all {
		all[i].Users = uses.of(&all[i])
	}
	return all, err
}

func (u *Uses) of(v *Volume) []string {
	users := slices.Clone(u.Named[v.Name])
	if v.Module != "" && u.Modules[v.Module] {
		users = append(users, v.Module)
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// Remove removes a volume that no module uses. Errors: errdefs.NotFound,
// FailedPrecondition (it names the modules), Unavailable.
func (k *Keeper) Remove(ctx context.Context, name string) error {
	uses, err := k.Uses(ctx)
	if err != nil {
		return err
	}
	v, err := k.Store.Get(name)
	if errdefs.IsNotFound(err) {
		return err
	}
	if users := uses.of(&v); len(users) > 0 {
		return inUse(name, users)
	}
	return k.Store.Remove(name)
}

// Prune removes all volumes that no module uses, the named ones too, and returns
// their names. One that cannot be removed does not keep the others.
func (k *Keeper) Prune(ctx context.Context) ([]string, error) {
	all, err := k.List(ctx)
	if err != nil && len(all) == 0 {
		return nil, err
	}
	errs := []error{err}
	removed := []string{}
	for i := range all {
		if len(all[i].Users) > 0 {
			continue
		}
		switch err := k.Store.Remove(all[i].Name); {
		case err == nil:
			removed = append(removed, all[i].Name)
		case !errdefs.IsNotFound(err) && !errdefs.IsFailedPrecondition(err): // gone, or taken into use meanwhile
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return removed, fmt.Errorf("cannot remove all unused volumes: %w", err)
	}
	return removed, nil
}
