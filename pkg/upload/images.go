package upload

import (
	"context"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/edged/edged/pkg/pack"
)

// makeAgain makes the image of a package that had to wait for it.
func (p *Packages) makeAgain(ctx context.Context, uid string) error {
	defer p.lock(uid)()
	pkg, err := p.Get(uid)
	if err == nil {
		_, err = p.make(ctx, pkg, nil)
	}
	return err
}

// make makes the image of a package, if it is to have one and has none. im is what its
// archive was found to be, nil where it has to be read again. The caller has the package's lock.
func (p *Packages) make(ctx context.Context, pkg *Package, im *pack.Image) (*Package, error) {
	p.making.Lock()
	defer p.making.Unlock()
	if pkg.Image.Name == "" || pkg.Image.Made() {
		return pkg, nil
	}
	var err error
	made := *pkg
	made.Image.Pending = ""
	if pkg.Format == pack.RAMPFormat {
		made.Image.Base = p.RedisImage
		made.Image.Digest, err = p.derive(ctx, pkg)
	} else {
		made.Image.Digest = "sha256:" + pkg.SHA256
		made.Kept = false
		if im == nil {
			// Reading the archive again takes long: not while containerd is away.
			_, err = p.Images.HavePackage(ctx, pkg.UID, pkg.Image.Name, made.Image.Digest)
		}
		if err == nil {
			err = p.importArchive(ctx, pkg, im)
		}
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
		p.warn(p.Content.Drop(ctx, pkg.Digest), "cannot remove the bytes of an image that is in containerd; the next start will")
	}
	p.Log.WithField("package", pkg.UID).Infof("made image %s", made.Image.Name)
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
	blob, err := p.Content.Open(ctx, pkg.Digest)
	if err != nil {
		return err
	}
	defer blob.Close()
	if im == nil {
		if im, err = pack.ReadImage(blob.Whole(), pkg.Size, p.Device.Platform, p.limits()); err != nil {
			return err
		}
	}
	return p.Images.ImportPackage(ctx, &Archive{
		UID: pkg.UID, Name: pkg.Image.Name, Manifest: im.Manifest, Config: im.Config, Text: im.Text, ConfigText: im.ConfigText,
		Layers: im.Layers, Unpacked: im.Unpacked, FreeFloor: p.FreeFloor,
		Blobs: func(each func(d ocispec.Descriptor, r io.Reader) error) error {
			return im.Blobs(blob.Whole(), each)
		},
	})
}

func (p *Packages) derive(ctx context.Context, pkg *Package) (string, error) {
	blob, err := p.Content.Open(ctx, pkg.Digest)
	if err != nil {
		return "", err
	}
	defer blob.Close()
	ramp, err := pack.ReopenRAMP(blob, pkg.Size)
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
			r, err := p.Content.Open(ctx, b.Digest)
			if err != nil {
				return nil, err
			}
			return struct {
				io.Reader
				io.Closer
			}{r.Whole(), r}, nil
		}
	}
	return nil, fmt.Errorf("the dependency %s is not here", d.Name)
}
