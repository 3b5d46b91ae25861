package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/edged/edged/pkg/content"
	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/pack/osgi"
)

// unpackedRatio is how many times the largest upload all that is in one may have unpacked.
const unpackedRatio = 4

// prepared is a bundle that was found to be sound.
type prepared struct {
	row    Record
	staged *content.Staged
	says   *osgi.Bundle
}

// prepare looks at all that came. With an error nothing of it is kept. What it returns is to
// be aborted or committed by the caller.
func (u *Upload) prepare(ctx context.Context) (all []*prepared, err error) {
	parts := u.parts
	u.parts = nil // each becomes a prepared one's, or is gone
	defer func() {
		if err != nil {
			for _, p := range parts {
				abort(p)
			}
			abortAll(all)
			all = nil
		}
	}()
	if len(parts) == 0 {
		return nil, fmt.Errorf("At least one bundle file is required: %w", errdefs.ErrInvalidArgument) //nolint:staticcheck // the contract's text
	}
	for len(parts) > 0 {
		part := parts[0]
		format, err := osgi.Sniff(part.Blob(ctx), part.Size(), u.b.limits())
		switch {
		case err != nil:
			return all, noBundle(err)
		case format == osgi.DeploymentFormat:
			inside, err := u.b.open(ctx, part)
			all = append(all, inside...)
			if err != nil {
				return all, err
			}
			abort(part)
		default:
			p, err := u.b.read(ctx, part)
			if err != nil {
				return all, err
			}
			all = append(all, p)
		}
		parts = parts[1:]
	}
	return all, distinct(all)
}

func abortAll(all []*prepared) {
	for _, p := range all {
		abort(p.staged)
	}
}

func (b *Bundles) limits() pack.Limits { return pack.Limits{Unpacked: b.MaxSize * unpackedRatio} }

// open takes the bundles out of a deployment package.
func (b *Bundles) open(ctx context.Context, part *content.Staged) ([]*prepared, error) {
	p, err := osgi.ReadDeploymentPackage(part.Blob(ctx), part.Size(), b.limits())
	if err != nil {
		return nil, unsound(err)
	}
	var all []*prepared
	for i, entry := range p.Bundles {
		one, err := b.extract(ctx, p, i)
		if err != nil {
			return all, err
		}
		all = append(all, one)
		if err := entry.Check(one.says); err != nil {
			return all, unsound(err)
		}
	}
	return all, nil
}

func (b *Bundles) extract(ctx context.Context, p *osgi.DeploymentPackage, i int) (*prepared, error) {
	r, err := p.Open(i)
	if err != nil {
		return nil, unsound(err)
	}
	defer r.Close()
	staged, err := b.stage(ctx, r, func(int64) error { return nil }) // as many as its directory says, which was measured
	if err != nil {
		return nil, unsound(err)
	}
	one, err := b.read(ctx, staged)
	if err != nil {
		abort(staged)
		return nil, err
	}
	return one, nil
}

// read finds out what a bundle is, and writes it anew where the framework has to see it
// another way. It is the caller's to abort what it gave after an error.
func (b *Bundles) read(ctx context.Context, staged *content.Staged) (*prepared, error) {
	says, err := osgi.ReadBundle(staged.Blob(ctx), staged.Size(), b.limits())
	if err != nil {
		return nil, unsound(err)
	}
	p := &prepared{staged: staged, says: says, row: Record{
		Key:  Key{Group: says.GroupID, Name: says.SymbolicName, Version: says.Version.String()},
		Kind: Kind(says.Kind), Uploaded: staged.Digest(), ImplementationVersion: says.ImplementationVersion, FragmentHost: says.FragmentHost,
		RequiredVersion: says.RequiredVersion, Title: says.Name, Vendor: says.Vendor,
	}}
	if says.NeedsTransform() {
		if p.staged, err = b.transform(ctx, staged); err != nil {
			return nil, unsound(err)
		}
		abort(staged)
	}
	p.row.Digest, p.row.Size = p.staged.Digest(), p.staged.Size()
	return p, nil
}

// transform writes a bundle the way that the framework has to see it.
func (b *Bundles) transform(ctx context.Context, from *content.Staged) (*content.Staged, error) {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(osgi.Transform(from.Blob(ctx), from.Size(), b.limits(), w))
	}()
	defer func() { <-done }()
	defer r.Close()
	return b.stage(ctx, r, func(int64) error { return nil })
}

// distinct refuses two bundles that the framework would take for one.
func distinct(all []*prepared) error {
	seen := map[[2]string]bool{}
	for _, p := range all {
		if seen[p.row.unique()] {
			return fmt.Errorf("the request has the bundle %s %s twice: %w", p.row.Name, p.row.Version, errdefs.ErrInvalidArgument)
		}
		seen[p.row.unique()] = true
	}
	return nil
}

// unsound words what is wrong with bytes as the contract does. An error that says nothing of
// them is as it was.
func unsound(err error) error {
	if _, ok := pack.ReasonOf(err); !ok || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if errors.Is(err, osgi.ErrMissing) {
		return noBundle(err)
	}
	return fmt.Errorf("Unable to install module. Cause: %w", err) //nolint:staticcheck // the contract's text
}

// noBundle is unsound for bytes that are not even a bundle. A jar that is only too much is one, and who sent
// it has to know why it is refused.
func noBundle(err error) error {
	if errors.Is(err, pack.ErrLimit) {
		return unsound(err)
	}
	if _, ok := pack.ReasonOf(err); ok {
		return fmt.Errorf("%s: %w", notABundle, errdefs.ErrInvalidArgument)
	}
	return err
}

// digests are the blobs of bundles.
func digests(all []*Record) []digest.Digest {
	ds := make([]digest.Digest, len(all))
	for i, r := range all {
		ds[i] = r.Digest
	}
	return ds
}
