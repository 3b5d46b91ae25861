package upload

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/edged/edged/pkg/pack"
)

// finish makes a prepared package one that is here. With an error nothing is left of it.
func (p *Packages) finish(ctx context.Context, j *job, report func(percent int)) (*Package, error) {
	if report == nil {
		report = func(int) {}
	}
	if err := p.keep(ctx, j, report); err != nil {
		p.undo(ctx, j)
		return nil, err
	}
	report(90)
	j.upload.release()
	pkg, err := p.make(ctx, j.pkg.UID, j.image)
	switch {
	case pkg == nil: // somebody removed it at once
		return &j.pkg, nil
	case err == nil, j.image == nil, errdefs.IsUnavailable(err), ctx.Err() != nil:
		return pkg, nil // an image that is missing is made when it can be
	}
	// An archive that is no image here is of no use.
	defer p.lock(j.pkg.UID)()
	if _, gone := p.Get(j.pkg.UID); gone != nil {
		return &j.pkg, nil
	}
	p.undo(ctx, j)
	if errdefs.IsResourceExhausted(err) {
		return nil, refuse(InsufficientStorage, "there is no room for the image: %v", err)
	}
	return nil, refuse(InvalidModule, "the package is refused: %v", err)
}

// keep brings blobs and row to the disk.
func (p *Packages) keep(ctx context.Context, j *job, report func(percent int)) error {
	if err := p.fetchAll(ctx, j, report); err != nil {
		return err
	}
	j.hold(j.pkg.Digest)
	if err := j.upload.staged.commit(ctx); err != nil {
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
	j.upload.p.blobs.keep(d)
}

// undo takes back what was done for a package that is not to be.
func (p *Packages) undo(ctx context.Context, j *job) {
	ctx, cancel := cleanly(ctx)
	defer cancel()
	j.upload.drop(ctx)
	err := errors.Join(p.blobs.drop(ctx, j.held...), p.Store.DeletePackage(ctx, j.pkg.UID))
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
	s, err := p.blobs.stage(ctx, "dependency-"+uuid.NewString())
	if err != nil {
		return err
	}
	if err := s.readFrom(body, func(size int64) error {
		if size > p.MaxSize {
			return refuse(InvalidDependencyData, "the dependency %s is larger than %d bytes", d.Name, p.MaxSize)
		}
		return p.room()
	}); err != nil {
		s.abort(ctx)
		var source *sourceError
		if errors.As(err, &source) {
			return refuse(DependencyFailed, "cannot get dependency %s: %v", d.Name, source.error)
		}
		return err
	}
	if err := pack.CheckDependency(d, s.reader(), s.size, p.limits()); err != nil {
		s.abort(ctx)
		return ofPack(err)
	}
	b.Digest = s.digest()
	j.hold(b.Digest)
	if err := s.commit(ctx); err != nil {
		s.abort(ctx)
		return err
	}
	// gofail: var uploadAfterDependency struct{}
	return nil
}

// make makes the image of a package, if it is to have one and has none. im is what its
// archive was found to be, nil where it has to be read again.
func (p *Packages) make(ctx context.Context, uid string, im *pack.Image) (*Package, error) {
	defer p.lock(uid)()
	p.making.Lock()
	defer p.making.Unlock()
	pkg, err := p.Get(uid)
	if err != nil || pkg.Image.Name == "" || pkg.Image.Made() {
		return pkg, err
	}
	made := *pkg
	made.Image.Pending = ""
	if pkg.Format == pack.RAMPFormat {
		made.Image.Base = p.RedisImage
		made.Image.Digest, err = p.derive(ctx, pkg)
	} else {
		made.Image.Digest = "sha256:" + pkg.SHA256
		made.Kept = false
		err = p.importArchive(ctx, pkg, im)
	}
	if err != nil {
		err = fmt.Errorf("cannot make image %s: %w", pkg.Image.Name, err)
		return p.pending(pkg, err), err
	}
	// gofail: var uploadAfterImage struct{}
	if err := p.save(ctx, &made); err != nil {
		return pkg, err
	}
	// gofail: var uploadAfterImageRow struct{}
	if pkg.Kept && !made.Kept {
		p.warn(p.blobs.drop(ctx, pkg.Digest), "cannot remove the bytes of an image that is in containerd; the next start will")
	}
	p.Log.WithField("package", uid).Infof("made image %s", made.Image.Name)
	p.poke() // others may have waited for it as their base
	return &made, nil
}

// pending notes why there is no image, in memory alone: the next start finds out anew.
func (p *Packages) pending(pkg *Package, why error) *Package {
	if pkg.Image.Pending == why.Error() {
		return pkg
	}
	p.Log.WithError(why).WithField("package", pkg.UID).Warnf("image %s is not made yet; trying again", pkg.Image.Name)
	waiting := *pkg
	waiting.Image.Pending = why.Error()
	p.put(&Record{waiting, Ready})
	return &waiting
}

// save writes a package's row and makes it the current one.
func (p *Packages) save(ctx context.Context, pkg *Package) error {
	r := &Record{*pkg, Ready}
	if err := p.Store.SavePackage(ctx, r, nil); err != nil {
		return err
	}
	p.put(r)
	return nil
}

func (p *Packages) importArchive(ctx context.Context, pkg *Package, im *pack.Image) error {
	bytes, err := p.blobs.open(ctx, pkg.Digest)
	if err != nil {
		return err
	}
	defer bytes.Close()
	if im == nil {
		if im, err = pack.ReadImage(whole(bytes), pkg.Size, p.Device.Platform, p.limits()); err != nil {
			return err
		}
	}
	return p.Images.ImportPackage(ctx, &Archive{
		UID: pkg.UID, Name: pkg.Image.Name, Manifest: im.Manifest, Config: im.Config, Text: im.Text, ConfigText: im.ConfigText,
		Blobs: func(each func(d ocispec.Descriptor, r io.Reader) error) error {
			return im.Blobs(whole(bytes), each)
		},
	})
}

// whole reads a blob from its beginning. content.NewReader would go on where the one before ended.
func whole(r content.ReaderAt) io.Reader { return io.NewSectionReader(r, 0, r.Size()) }

func (p *Packages) derive(ctx context.Context, pkg *Package) (string, error) {
	bytes, err := p.blobs.open(ctx, pkg.Digest)
	if err != nil {
		return "", err
	}
	defer bytes.Close()
	ramp, err := pack.ReopenRAMP(bytes, pkg.Size)
	if err != nil {
		return "", err
	}
	command, err := ramp.Command()
	if err != nil {
		return "", err
	}
	return p.Images.DerivePackage(ctx, &Derived{
		UID: pkg.UID, Name: pkg.Image.Name, Base: p.RedisImage, Command: command,
		Layer: func(w io.Writer) error {
			return ramp.WriteLayer(w, func(d pack.Dependency) (io.ReadCloser, error) { return p.openDependency(ctx, pkg, ramp, d) })
		},
	})
}

func (p *Packages) openDependency(ctx context.Context, pkg *Package, ramp *pack.RAMP, d pack.Dependency) (io.ReadCloser, error) {
	if ramp.Embedded(d.Name) {
		return ramp.Dependency(d.Name)
	}
	for _, b := range pkg.Dependencies {
		if b.Name == d.Name {
			r, err := p.blobs.open(ctx, b.Digest)
			if err != nil {
				return nil, err
			}
			return struct {
				io.Reader
				io.Closer
			}{whole(r), r}, nil
		}
	}
	return nil, fmt.Errorf("the dependency %s is not here", d.Name)
}
