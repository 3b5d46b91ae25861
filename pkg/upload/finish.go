package upload

import (
	"context"
	"errors"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/edged/edged/pkg/content"
	"github.com/edged/edged/pkg/pack"
)

// finish makes a prepared package one that is here. With an error nothing is left of it.
func (p *Packages) finish(ctx context.Context, j *job, report func(percent int)) (*Package, error) {
	if report == nil {
		report = func(int) {}
	}
	if err := p.fetchAll(ctx, j, report); err != nil {
		p.undo(ctx, j)
		return nil, err
	}
	// Until it is all there nobody removes it, and brings another under its name: what is made
	// and taken back here is this one's.
	defer p.lock(j.pkg.UID)()
	if err := p.keep(ctx, j); err != nil {
		p.undo(ctx, j)
		return nil, err
	}
	report(90)
	j.upload.release()
	pkg, err := p.make(ctx, &j.pkg, j.image)
	if err == nil || j.image == nil || errdefs.IsUnavailable(err) || ctx.Err() != nil {
		return pkg, nil // an image that is missing is made when it can be
	}
	// An archive that is no image here is of no use.
	p.undo(ctx, j)
	if errdefs.IsResourceExhausted(err) {
		return nil, refuse(InsufficientStorage, "there is no room for the image: %v", err)
	}
	return nil, refuse(InvalidModule, "the package is refused: %v", err)
}

// keep brings blobs and row to the disk.
func (p *Packages) keep(ctx context.Context, j *job) error {
	j.hold(j.pkg.Digest)
	if err := j.upload.staged.Commit(ctx); err != nil {
		return err
	}
	// gofail: var uploadAfterBlob struct{}
	p.saving.Lock()
	defer p.saving.Unlock()
	counter, err := p.counter(ctx, &j.pkg)
	if err != nil {
		return err
	}
	r := &Record{j.pkg, Ready}
	if err := p.Store.SavePackage(ctx, r, counter); err != nil {
		return err
	}
	// gofail: var uploadAfterRow struct{}
	p.put(r)
	p.Log.WithField("package", r.UID).Infof("took package %s %s, %d bytes", r.Name, r.SemanticVersion, r.Size)
	return nil
}

// hold counts a blob as needed by the package.
func (j *job) hold(d digest.Digest) {
	j.held = append(j.held, d)
	j.upload.p.Content.Keep(d)
}

// undo takes back what was done for a package that is not to be.
func (p *Packages) undo(ctx context.Context, j *job) {
	ctx, cancel := cleanly(ctx)
	defer cancel()
	j.upload.drop(ctx)
	err := errors.Join(p.Content.Drop(ctx, j.held...), p.Store.DeletePackage(ctx, j.pkg.UID))
	p.warn(err, "cannot undo an upload; the next start will")
	p.forget(j.pkg.UID)
}

// fetchAll gets the dependencies that are not in the package.
func (p *Packages) fetchAll(ctx context.Context, j *job, report func(percent int)) error {
	for i := range j.pkg.Dependencies {
		b := &j.pkg.Dependencies[i]
		for _, d := range j.pkg.Metadata.Dependencies {
			if d.Name != b.Name {
				continue
			}
			if err := p.fetch(ctx, j, d, b); err != nil {
				return err
			}
		}
		report(80 * (i + 1) / len(j.pkg.Dependencies))
	}
	return nil
}

// fetch gets one, and holds it to what the package says of it.
func (p *Packages) fetch(ctx context.Context, j *job, d pack.Dependency, b *Blob) error {
	body, err := p.Fetcher.Fetch(ctx, d.URL, p.MaxSize)
	switch {
	case errdefs.IsNotFound(err):
		return refuse(DependencyNotFound, "cannot get dependency %s: %v", d.Name, err)
	case errdefs.IsInvalidArgument(err):
		return refuse(InvalidDependencyData, "cannot get dependency %s: %v", d.Name, err)
	case err != nil:
		return refuse(DependencyFailed, "cannot get dependency %s: %v", d.Name, err)
	}
	defer body.Close()
	s, err := p.Content.Stage(ctx)
	if err != nil {
		return err
	}
	if err := s.ReadAll(body, func(size int64) error {
		if size > p.MaxSize {
			return refuse(InvalidDependencyData, "the dependency %s is larger than %d bytes", d.Name, p.MaxSize)
		}
		return p.room()
	}); err != nil {
		s.Abort(ctx)
		var source *content.SourceError
		if errors.As(err, &source) {
			return refuse(DependencyFailed, "cannot get dependency %s: %v", d.Name, source.Unwrap())
		}
		return err
	}
	if err := pack.CheckDependency(d, s.Blob(ctx).Whole(), s.Size(), p.limits()); err != nil {
		s.Abort(ctx)
		return ofPack(err)
	}
	b.Digest = s.Digest()
	j.hold(b.Digest)
	if err := s.Commit(ctx); err != nil {
		s.Abort(ctx)
		return err
	}
	// gofail: var uploadAfterDependency struct{}
	return nil
}
