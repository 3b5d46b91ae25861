package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/upload"
)

var _ upload.Images = (*Engine)(nil)

const (
	// packageLease keeps what a package's image has, whatever becomes of its name.
	packageLease = "edged-package-"
	// packageTimeout bounds the making of one image: a large one on a slow flash.
	packageTimeout = time.Hour
)

// ImportPackage makes an image of blobs that were verified. Errors: InvalidArgument (it
// cannot be unpacked), ResourceExhausted, Unavailable.
func (e *Engine) ImportPackage(ctx context.Context, a *upload.Archive) error {
	ctx, done := e.callFor(ctx, packageTimeout)
	defer done()
	return e.underLease(ctx, a.UID, func(ctx context.Context) error {
		if err := e.room(ctx, a); err != nil {
			return err
		}
		store := e.client.ContentStore()
		write := func(d ocispec.Descriptor, r io.Reader) error {
			if err := content.WriteBlob(ctx, store, packageLease+a.UID+"-"+d.Digest.String(), r, d); err != nil {
				return fmt.Errorf("cannot import %s: %w", d.Digest, err)
			}
			return nil
		}
		if err := a.Blobs(write); err != nil {
			return err
		}
		if err := write(a.Config, strings.NewReader(string(a.ConfigText))); err != nil {
			return err
		}
		if err := write(a.Manifest, strings.NewReader(string(a.Text))); err != nil {
			return err
		}
		// gofail: var uploadAfterBlobsImported struct{}
		return e.keepPackage(ctx, a.UID, images.Image{Name: a.Name, Target: a.Manifest})
	})
}

// underLease makes an image under a lease of its own, which goes when it is done or, after a
// crash, with those of other operations.
func (e *Engine) underLease(ctx context.Context, uid string, fn func(ctx context.Context) error) error {
	id := "package-" + uid
	e.mu.Lock()
	e.making[id] = true
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.making, id)
	}()
	m := e.client.LeasesService()
	// What a crash left goes first: by containerd's word it may be unpacked, and its layers may not
	// have come to the disk.
	for _, left := range []string{opLease + id, packageLease + uid} {
		if err := ignoreNotFound(m.Delete(ctx, leases.Lease{ID: left}, leases.SynchronousDelete)); err != nil {
			return classify(err)
		}
	}
	lease, err := m.Create(ctx, leases.WithID(opLease+id), leases.WithExpiration(packageTimeout), leases.WithLabels(map[string]string{labelOwner: owner}))
	if err != nil {
		return classify(err)
	}
	err = classify(fn(leases.WithLease(ctx, lease.ID)))
	if err != nil && isFull(err) {
		err = fmt.Errorf("%w: %w", err, errdefs.ErrResourceExhausted)
	}
	cleanCtx, done := e.call(context.WithoutCancel(ctx))
	defer done()
	// Layers are on the disk as snapshots: what they came in goes with the lease.
	if leaseErr := ignoreNotFound(m.Delete(cleanCtx, lease, leases.SynchronousDelete)); leaseErr != nil {
		e.Log.WithError(leaseErr).Debug("cannot give up the lease of an import; it expires")
	}
	return err
}

// keepPackage unpacks an image whose blobs are here, keeps it for a package, and names it: what
// has a name is whole, whenever the power goes.
func (e *Engine) keepPackage(ctx context.Context, uid string, im images.Image) error {
	store := e.client.ContentStore()
	label := images.SetChildrenMappedLabels(store, images.ChildrenHandler(store), images.ChildGCLabelsFilterLayers)
	children, err := label.Handle(ctx, im.Target)
	if err == nil && len(children) == 0 {
		err = errors.New("its manifest has nothing")
	}
	if err != nil {
		return fmt.Errorf("cannot label image: %w", classifyUnpack(err))
	}
	if err := e.pinPackage(ctx, uid, im.Target.Digest); err != nil {
		return err
	}
	im.Labels = map[string]string{labelOwner: owner, labelPackage: uid}
	if _, err := e.unpackAnew(ctx, im); err != nil {
		if err = classifyUnpack(err); !errdefs.IsUnavailable(err) {
			e.unmake(ctx, uid, im.Name, im.Target.Digest.String())
		}
		return err
	}
	// gofail: var uploadAfterUnpack struct{}
	service := e.client.ImageService()
	_, err = service.Create(ctx, im)
	if errdefs.IsAlreadyExists(err) {
		// What had the name goes on for whoever runs it. Labels are replaced: the package is who keeps it now.
		_, err = service.Update(ctx, im, "target", "labels")
	}
	if err != nil {
		return fmt.Errorf("cannot name image: %w", err)
	}
	// gofail: var uploadAfterImageNamed struct{}
	return nil
}

// unmake takes back what was begun of an image that cannot be one.
func (e *Engine) unmake(ctx context.Context, uid, name, digest string) {
	if err := e.RemovePackage(context.WithoutCancel(ctx), uid, name, digest); err != nil {
		e.Log.WithError(err).WithField("image", name).Warn("cannot remove an image that cannot be unpacked")
	}
}

// pinPackage keeps a manifest, and with it what it refers to, until RemovePackage.
func (e *Engine) pinPackage(ctx context.Context, uid string, d digest.Digest) error {
	m := e.client.LeasesService()
	lease := leases.Lease{ID: packageLease + uid}
	kept, err := m.ListResources(ctx, lease)
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("cannot keep image: %w", err)
	}
	if slices.ContainsFunc(kept, func(r leases.Resource) bool { return r.ID == d.String() }) {
		return nil // a write less: this is asked again and again
	}
	_, err = m.Create(ctx, leases.WithID(lease.ID), leases.WithLabels(map[string]string{labelOwner: owner, labelPackage: uid}))
	if err != nil && !errdefs.IsAlreadyExists(err) {
		return fmt.Errorf("cannot keep image: %w", err)
	}
	if err := m.AddResource(ctx, lease, leases.Resource{ID: d.String(), Type: "content"}); err != nil && !errdefs.IsAlreadyExists(err) {
		return fmt.Errorf("cannot keep image: %w", err)
	}
	return nil
}

// HavePackage says whether a package's image is here and unpacked, and names it again
// where nothing has its name. Errors: Unavailable.
func (e *Engine) HavePackage(ctx context.Context, uid, name, d string) (bool, error) {
	ctx, done := e.callFor(ctx, packageTimeout)
	defer done()
	store := e.client.ContentStore()
	target := ocispec.Descriptor{Digest: digest.Digest(d)}
	info, err := store.Info(ctx, target.Digest)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, classify(err)
	}
	target.Size = info.Size
	if target.MediaType, err = manifestType(ctx, store, target); err != nil {
		return false, classify(err)
	}
	im := images.Image{Name: name, Target: target, Labels: map[string]string{labelOwner: owner, labelPackage: uid}}
	if _, err := e.unpackAnew(ctx, im); errors.Is(err, errNotWhole) {
		return false, nil
	} else if err != nil {
		return false, classify(err)
	}
	if err := e.pinPackage(ctx, uid, target.Digest); err != nil {
		return false, classify(err)
	}
	if _, err := e.client.ImageService().Create(ctx, im); err != nil && !errdefs.IsAlreadyExists(err) {
		return false, classify(err)
	}
	return true, nil
}

// PackageImages lists the packages that images or leases are kept for. Errors: Unavailable.
func (e *Engine) PackageImages(ctx context.Context) ([]upload.PackageImage, error) {
	ctx, done := e.call(ctx)
	defer done()
	records, err := e.client.ImageService().List(ctx, fmt.Sprintf("labels.%q", labelPackage))
	if err != nil {
		return nil, fmt.Errorf("cannot list images of packages: %w", classify(err))
	}
	var all []upload.PackageImage
	seen := map[string]bool{}
	for _, r := range records {
		uid := r.Labels[labelPackage]
		seen[uid] = true
		all = append(all, upload.PackageImage{UID: uid, Name: r.Name, Digest: r.Target.Digest.String()})
	}
	kept, err := e.client.LeasesService().List(ctx, fmt.Sprintf("labels.%q", labelPackage))
	if err != nil {
		return nil, fmt.Errorf("cannot list images of packages: %w", classify(err))
	}
	for _, l := range kept {
		if uid := l.Labels[labelPackage]; !seen[uid] {
			all = append(all, upload.PackageImage{UID: uid})
		}
	}
	return all, nil
}

// RemovePackage gives up what is kept for a package, and the name where it is the
// package's still. It returns when the space is free. Errors: Unavailable.
func (e *Engine) RemovePackage(ctx context.Context, uid, name, d string) error {
	ctx, done := e.callFor(ctx, packageTimeout)
	defer done()
	service := e.client.ImageService()
	if name != "" {
		record, err := service.Get(ctx, name)
		if err != nil && !errdefs.IsNotFound(err) {
			return classify(err)
		}
		if err == nil && record.Labels[labelPackage] == uid && (d == "" || record.Target.Digest.String() == d) {
			if err := ignoreNotFound(service.Delete(ctx, name)); err != nil {
				return classify(err)
			}
		}
	}
	err := e.client.LeasesService().Delete(ctx, leases.Lease{ID: packageLease + uid}, leases.SynchronousDelete)
	return classify(ignoreNotFound(err))
}

// FetchBase gets an image that others are made on, when it is not here. Errors: as EnsureImage.
func (e *Engine) FetchBase(ctx context.Context, ref string) error {
	named, err := parseReference(ref)
	if err != nil {
		return err
	}
	cctx, done := e.call(ctx)
	_, err = e.client.ImageService().Get(cctx, named.String())
	done()
	if err == nil {
		return nil
	}
	_, err = e.PullImage(ctx, ref, nil, func(image.Progress) {})
	return err
}

// base is the image that RAMP packages are made on. Errors: NotFound, Unavailable.
func (e *Engine) base(ctx context.Context, ref string) (images.Image, unpacked, error) {
	named, err := parseReference(ref)
	if err != nil {
		return images.Image{}, unpacked{}, err
	}
	record, err := e.client.ImageService().Get(ctx, named.String())
	if errdefs.IsNotFound(err) {
		return images.Image{}, unpacked{}, fmt.Errorf("the image %s, on which it is made ([uploads] redis_image), is not on this device: %w", named, errdefs.ErrNotFound)
	}
	if err != nil {
		return images.Image{}, unpacked{}, classify(err)
	}
	u, err := e.unpackSlowly(ctx, record)
	return record, u, err
}
