package upload

import (
	"context"
	"strings"

	"github.com/containerd/errdefs"
)

// Delete removes a package, its image and its bytes, for good. With dependencies it takes
// DeleteLater. Errors: ModuleNotFound, DependenciesUnsupported, ModuleInUse, Unavailable.
func (p *Packages) Delete(ctx context.Context, uid string) error {
	pkg, err := p.Get(uid)
	if err != nil {
		return err
	}
	if pkg.Metadata != nil && len(pkg.Metadata.Dependencies) > 0 {
		return refuse(DependenciesUnsupported, "the package has dependencies, which /v1/modules does not take: use /v2/modules")
	}
	return p.work.Await(ctx, deleteTimeout, func(ctx context.Context) error { return p.remove(ctx, uid) })
}

// DeleteLater is Delete whatever dependencies there are. It is done when it returns, and
// the action says so.
func (p *Packages) DeleteLater(ctx context.Context, uid string) (*Action, error) {
	if _, err := p.Get(uid); err != nil {
		return nil, err
	}
	var action *Action
	err := p.work.Await(ctx, deleteTimeout, func(ctx context.Context) (err error) {
		if err = p.remove(ctx, uid); err != nil {
			return err
		}
		if action, err = p.begin(ctx, removeAction, uid); err != nil {
			return err
		}
		action = p.end(ctx, action.UID, nil)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return action, nil
}

func (p *Packages) remove(ctx context.Context, uid string) error {
	defer p.lock(uid)()
	pkg, err := p.Get(uid)
	if err != nil {
		return err
	}
	for _, u := range p.Users {
		users, err := u.UsersOf(ctx, pkg)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return refuse(ModuleInUse, "%s %s is in use by %s", pkg.Name, pkg.SemanticVersion, strings.Join(users, ", "))
		}
	}
	if pkg.Image.Name == "" {
		return p.removeBytes(ctx, pkg)
	}
	err = p.Guard.WithoutUsers(ctx, pkg.Image.Name, pkg.Image.Digest, func(ctx context.Context) error { return p.removeAll(ctx, pkg) })
	if errdefs.IsFailedPrecondition(err) {
		return refuse(ModuleInUse, "%s %s is in use: %s", pkg.Name, pkg.SemanticVersion, strings.TrimSuffix(err.Error(), ": "+errdefs.ErrFailedPrecondition.Error()))
	}
	return err
}

// removeAll removes image and bytes. While containerd is away nothing is removed.
func (p *Packages) removeAll(ctx context.Context, pkg *Package) error {
	if err := p.Store.SavePackage(ctx, &Record{*pkg, Deleting}, nil); err != nil {
		return err
	}
	// gofail: var uploadDeleteAfterIntent struct{}
	if err := p.Images.RemovePackage(ctx, pkg.UID, pkg.Image.Name, pkg.Image.Digest); err != nil {
		// It may be half gone, which Run looks at.
		p.unsure.Store(true)
		ctx, cancel := cleanly(ctx)
		defer cancel()
		p.warn(p.Store.SavePackage(ctx, &Record{*pkg, Ready}, nil), "cannot take a removal back; the next start ends it")
		return err
	}
	// gofail: var uploadDeleteAfterImage struct{}
	return p.removeBytes(ctx, pkg)
}

// removeBytes removes what is left of a package: the blobs, then the row.
func (p *Packages) removeBytes(ctx context.Context, pkg *Package) error {
	if err := p.Store.SavePackage(ctx, &Record{*pkg, Deleting}, nil); err != nil {
		return err
	}
	// Whatever comes now, it is nobody's any more, and its blobs are given up once.
	rest := *pkg
	rest.Kept, rest.Dependencies = false, nil
	p.put(&Record{rest, Deleting})
	if err := p.Content.Drop(ctx, pkg.blobs()...); err != nil {
		return err
	}
	// gofail: var uploadDeleteAfterBlobs struct{}
	if err := p.Store.DeletePackage(ctx, pkg.UID); err != nil {
		return err
	}
	p.forget(pkg.UID)
	p.Log.WithField("package", pkg.UID).Infof("removed package %s %s", pkg.Name, pkg.SemanticVersion)
	return nil
}
