package main

import (
	"context"
	"net/http"
	"os"

	"github.com/edged/edged/mgmt"
	wirecatalog "github.com/edged/edged/mgmt/catalog"
	"github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/httpapi"
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
		d.catalog.index = catalog.NewIndexer(store, d.log, &imageSource{d}, &packageSource{d})
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
		Decider: d.decider, Audit: d.audit, Limits: limits, Bulk: int64(d.cfg.Limits.BulkBody), Spool: d.spool, Room: d.catalog.store.Roomy,
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
			modules, packages := d.supervisor.Changed(), d.packages.Changed()
			d.catalog.index.Wake()
			select {
			case <-modules:
			case <-packages:
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
