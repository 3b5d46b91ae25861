package main

import (
	"context"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/distribution/reference"

	"github.com/edged/edged/mgmt"
	wirecatalog "github.com/edged/edged/mgmt/catalog"
	"github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/catalog/inventory"
	"github.com/edged/edged/pkg/engine"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/store/builds"
)

// builtCatalog is the catalog and what keeps its rows of this device. A catalog that does
// not open keeps nothing else from running.
type builtCatalog struct {
	store *builds.Store
	index *catalog.Indexer
}

// openCatalog opens the catalog's database.
func (d *daemon) openCatalog(ctx context.Context) {
	store, err := builds.Open(ctx, d.cfg.Home, d.trim)
	if err != nil {
		d.log.WithError(err).Error("there is no catalog until this is mended and edged starts again")
		return
	}
	d.catalog.store = store
	if d.cfg.Catalog.Index {
		d.catalog.index = catalog.NewIndexer(store, d.log, &imageSource{d})
	}
}

// mountCatalog is the API on the management socket.
func (d *daemon) mountCatalog(limits httpapi.Limits) mgmt.Mount {
	if d.catalog.store == nil {
		return mgmt.Mount{Root: wirecatalog.Root, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			httpapi.WriteJSON(w, http.StatusServiceUnavailable, map[string]string{"detail": "The catalog of this device cannot be opened; edged's log says why."})
		})}
	}
	limits.Body = int64(d.cfg.Limits.CatalogBody)
	return mgmt.Mount{Root: wirecatalog.Root, Handler: wirecatalog.New(wirecatalog.Config{
		Catalog: catalog.New(catalog.Config{Store: d.catalog.store, ModuleMD: int(d.cfg.Limits.ModuleMD)}),
		Decider: d.decider, Audit: d.audit, Limits: limits, Bulk: int64(d.cfg.Limits.BulkBody), Spool: d.spool,
	})}
}

// spool makes a file that goes with its descriptor.
func (d *daemon) spool() (*os.File, error) {
	f, err := os.CreateTemp(d.cfg.Home, ".spool-*")
	if err == nil {
		err = os.Remove(f.Name())
	}
	return f, err
}

// runIndex keeps the rows of what is on the device, once it is known what runs.
func (d *daemon) runIndex(ctx context.Context) {
	if d.catalog.index == nil {
		return
	}
	select {
	case <-d.supervisor.Reconciled():
	case <-ctx.Done():
		return
	}
	d.goes(func() {
		for ctx.Err() == nil {
			changed := d.supervisor.Changed()
			d.catalog.index.Wake()
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	})
	d.catalog.index.Run(ctx)
}

// imageRemoved is told by the keeper of images.
func (d *daemon) imageRemoved() {
	if d.catalog.index != nil {
		d.catalog.index.Wake()
	}
}

func (d *daemon) closeCatalog() {
	if d.catalog.store != nil {
		d.warn(d.catalog.store.Close())
	}
}

// imageSource lists the images that modules use, or used and that are still here.
type imageSource struct{ d *daemon }

func (*imageSource) Kind() string { return "image" }

func (s *imageSource) Packages(ctx context.Context) ([]catalog.Package, error) {
	here, err := s.d.engine.ImageNames(ctx)
	if err != nil {
		return nil, err
	}
	packages := map[string]catalog.Package{}
	for name, digest := range here {
		if p, ok := s.pack(name, digest); ok {
			p.Known = true
			packages[p.Key] = p
		}
	}
	for _, st := range s.d.supervisor.List(ctx) {
		if p, ok := s.pack(st.Spec.Image, st.ImageDigest); ok {
			p.Active = true
			packages[p.Key] = p
		}
	}
	all := make([]catalog.Package, 0, len(packages))
	for _, p := range packages {
		all = append(all, p)
	}
	return all, nil
}

// pack describes an image under one of its names.
func (s *imageSource) pack(ref, digest string) (p catalog.Package, ok bool) {
	named, err := image.Normalize(ref)
	if err != nil || digest == "" {
		return p, false
	}
	p = catalog.Package{
		Key: reference.TrimNamed(named).String(), Name: reference.Path(named), Digest: digest, Reference: named.String(), Look: s.look,
	}
	if tagged, ok := named.(reference.Tagged); ok {
		p.Tag = tagged.Tag()
		p.Key += ":" + p.Tag
	}
	p.Key += "@" + digest
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
