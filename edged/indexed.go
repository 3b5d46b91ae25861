package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/distribution/reference"

	"github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/catalog/inventory"
	"github.com/edged/edged/pkg/engine"
	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/pack"
)

// imageSource lists the images that modules use, those that they used and that are still
// here, and those that were brought as packages.
type imageSource struct{ d *daemon }

func (*imageSource) Kind() string { return "image" }

func (s *imageSource) Packages(ctx context.Context) (all []catalog.Package, err error) {
	here, err := s.d.engine.ImageNames(ctx)
	if err != nil {
		return nil, err
	}
	brought := map[string]bool{}
	for _, p := range s.d.packages.List().Packages {
		brought[p.Image.Name] = p.Format == pack.ImageFormat
	}
	for name, digest := range here {
		if p, ok := s.describe(name, digest); ok {
			p.Known = !brought[name]
			all = append(all, p)
		}
	}
	for _, st := range s.d.supervisor.All(ctx) {
		if p, ok := s.describe(st.Spec.Image, st.ImageDigest); ok {
			p.Active = true
			all = append(all, p)
		}
	}
	return all, nil
}

// describe describes an image under one of its names.
func (s *imageSource) describe(ref, digest string) (p catalog.Package, ok bool) {
	named, err := image.Normalize(ref)
	if err != nil || digest == "" {
		return p, false
	}
	p = catalog.Package{Name: reference.Path(named), Digest: digest, Reference: named.String(), Look: s.look}
	if tagged, ok := named.(reference.Tagged); ok {
		p.Tag = tagged.Tag()
	}
	return p, true
}

// look reads what is installed in an image.
func (s *imageSource) look(ctx context.Context, p *catalog.Package) (contents []catalog.RPM, err error) {
	err = s.d.engine.Inside(ctx, p.Digest, func(root string, facts engine.ImageFacts) error {
		p.MediaType, p.Arch, p.Version = facts.MediaType, facts.Arch, buildVersion(facts)
		if root == "" {
			return nil
		}
		contents, err = inventory.Read(ctx, root)
		return err
	})
	return contents, err
}

// buildVersion is when an image was made, as builds in a catalog have it: a number that
// grows. Whoever makes images that are the same each time says nothing, or 1970.
func buildVersion(facts engine.ImageFacts) uint64 {
	t := facts.Created.UTC()
	if t.Year() <= 1970 || t.Year() > 9999 {
		return 0
	}
	n, err := strconv.ParseUint(strings.NewReplacer("-", "", "T", "", ":", "").Replace(t.Format("2006-01-02T15:04:05")), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// mediaTypeRAMP is that of a Redis module as it is packed.
const mediaTypeRAMP = "application/vnd.redis.ramp.v1+zip"

// packageSource lists the packages that are no images: those are imageSource's.
type packageSource struct{ d *daemon }

func (*packageSource) Kind() string { return "package" }

func (s *packageSource) Packages(ctx context.Context) (all []catalog.Package, err error) {
	used := map[[2]string]bool{} // by name and digest of the image
	for _, st := range s.d.supervisor.All(ctx) {
		if named, err := image.Normalize(st.Spec.Image); err == nil {
			used[[2]string{named.String(), st.ImageDigest}] = true
		}
	}
	for _, pkg := range s.d.packages.List().Packages {
		if pkg.Format != pack.RAMPFormat {
			continue
		}
		p := catalog.Package{
			Name: pkg.Name, Tag: pkg.SemanticVersion, Version: uint64(max(pkg.Version, 0)), Digest: pkg.Digest.String(), MediaType: mediaTypeRAMP,
			Arch: pack.Architecture(pkg.Architecture), Image: pkg.Image.Name, Active: pkg.Image.Made() && used[[2]string{pkg.Image.Name, pkg.Image.Digest}],
		}
		if pkg.Metadata != nil {
			for _, d := range pkg.Metadata.Dependencies {
				p.Deps = append(p.Deps, catalog.Dep{Dependency: d.Name, Stream: catalog.NoStream})
			}
		}
		all = append(all, p)
	}
	return all, nil
}
