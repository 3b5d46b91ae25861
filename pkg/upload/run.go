package upload

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/pack"
)

// again is how often what is pending is tried again.
const again = time.Minute

// Run compares packages with containerd, ends removals that a crash cut, and makes images
// that are missing, until ctx ends. It is for after edged knows which modules there are.
func (p *Packages) Run(ctx context.Context) {
	tick := time.NewTicker(again)
	defer tick.Stop()
	compared, said := false, false
	for {
		if !compared || p.removing() {
			err := p.compare(ctx)
			compared = err == nil
			if err != nil && !said && ctx.Err() == nil {
				p.Log.WithError(err).Warn("cannot compare packages with containerd, trying again")
				said = true
			}
		}
		p.makeMissing(ctx)
		select {
		case <-tick.C:
		case <-p.wake:
		case <-ctx.Done():
			return
		}
	}
}

// removing says whether there are removals that did not come to their end.
func (p *Packages) removing() bool {
	for _, r := range p.all() {
		if r.Phase == Deleting {
			return true
		}
	}
	return false
}

// compare holds what is recorded against the images that there are.
func (p *Packages) compare(ctx context.Context) error {
	images, err := p.Images.PackageImages(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range p.all() {
		switch r.Phase {
		case Deleting:
			errs = append(errs, p.endRemoval(ctx, r))
		case Ready:
			errs = append(errs, p.compareOne(ctx, r.UID))
		}
	}
	for _, im := range images {
		if p.known(im.UID) {
			continue
		}
		// Of a database that was restored from before it, say.
		err := p.Guard.WithoutUsers(ctx, im.Name, im.Digest, func(ctx context.Context) error {
			return p.Images.RemovePackage(ctx, im.UID, im.Name, im.Digest)
		})
		if err == nil {
			p.Log.WithField("package", im.UID).Warnf("removed image %s: its package is not known", im.Name)
		} else if !errdefs.IsFailedPrecondition(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (p *Packages) all() []*Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*Record
	for _, r := range p.records {
		all = append(all, r)
	}
	return all
}

func (p *Packages) known(uid string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.records[uid] != nil
}

// endRemoval ends a removal that a crash cut.
func (p *Packages) endRemoval(ctx context.Context, r *Record) error {
	defer p.lock(r.UID)()
	if r.Image.Name != "" {
		if err := p.Images.RemovePackage(ctx, r.UID, r.Image.Name, r.Image.Digest); err != nil {
			return err
		}
	}
	return p.removeBytes(ctx, &r.Package)
}

// compareOne looks for a package's image. One that is gone is made again where the bytes
// are here, and else takes its package along.
func (p *Packages) compareOne(ctx context.Context, uid string) error {
	defer p.lock(uid)()
	pkg, err := p.Get(uid)
	if err != nil {
		return nil //nolint:nilerr // it was removed meanwhile
	}
	now := *pkg
	if pkg.Format == pack.RAMPFormat {
		switch {
		case pkg.Image.Name == "" && p.RedisImage != "":
			p.mu.Lock()
			now.Image = p.rampImage(pkg)
			p.mu.Unlock()
			return p.save(ctx, &now)
		case pkg.Image.Name == "" || !pkg.Image.Made() && p.RedisImage != "":
			return nil
		case !pkg.Image.Made():
			now.Image = Image{} // there is no image to make it on any more
			return p.save(ctx, &now)
		}
	}
	if !pkg.Image.Made() {
		return nil
	}
	here, err := p.Images.HavePackage(ctx, uid, pkg.Image.Name, pkg.Image.Digest)
	if err != nil || here {
		return err
	}
	if pkg.Kept {
		now.Image = Image{Name: pkg.Image.Name, Pending: "its image is gone and is made again"}
		return p.save(ctx, &now)
	}
	p.Log.WithField("package", uid).Errorf("image %s is gone from containerd, and so is package %s %s", pkg.Image.Name, pkg.Name, pkg.SemanticVersion)
	return p.removeBytes(ctx, pkg)
}

// makeMissing makes images that are not made yet, and then those whose base had to be
// fetched first: a registry that does not answer keeps no other image waiting.
func (p *Packages) makeMissing(ctx context.Context) {
	if p.makeEach(ctx) && p.Images.FetchBase(ctx, p.RedisImage) == nil {
		p.makeEach(ctx)
	}
}

// makeEach says whether the base of one is not here.
func (p *Packages) makeEach(ctx context.Context) (baseless bool) {
	for _, pkg := range p.List().Packages {
		if ctx.Err() != nil {
			return false
		}
		if pkg.Image.Name == "" || pkg.Image.Made() {
			continue
		}
		_, err := p.make(ctx, pkg.UID, nil)
		if err != nil {
			p.Log.WithError(err).WithField("package", pkg.UID).Debug("an image is not made yet")
		}
		baseless = baseless || errdefs.IsNotFound(err) && CodeOf(err) == ""
	}
	return baseless
}
