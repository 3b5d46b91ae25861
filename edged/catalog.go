package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/containerd/errdefs"

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
	store, err := builds.Open(ctx, d.cfg.Home, debug.FreeOSMemory)
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
	var store catalog.Store = noCatalog{}
	if d.catalog.store != nil {
		store = d.catalog.store
	}
	limits.Body = int64(d.cfg.Limits.CatalogBody)
	return mgmt.Mount{Root: wirecatalog.Root, Handler: wirecatalog.New(wirecatalog.Config{
		Catalog: catalog.New(catalog.Config{Store: store, ModuleMD: int(d.cfg.Limits.ModuleMD)}),
		Decider: d.decider, Audit: d.audit, Requests: d.requests, Limits: limits, Bulk: int64(d.cfg.Limits.BulkBody), Spool: d.spool, Room: store.Roomy,
	})}
}

// noCatalog stands for one that does not open: who may ask is told so, nobody else anything.
type noCatalog struct{}

var errNoCatalog = fmt.Errorf("the catalog of this device cannot be opened; edged's log says why: %w", errdefs.ErrUnavailable)

func (noCatalog) Page(context.Context, *catalog.Query) (catalog.Page, error) {
	return catalog.Page{}, errNoCatalog
}

func (noCatalog) Rows(context.Context, []int64, catalog.Fields, func(*catalog.Row) bool) (int, error) {
	return 0, errNoCatalog
}

func (noCatalog) Find(context.Context, string, []catalog.Filter) (*catalog.Row, error) {
	return nil, errNoCatalog
}
func (noCatalog) Write(context.Context, func(catalog.Tx) error) error { return errNoCatalog }
func (noCatalog) Roomy() error                                        { return errNoCatalog }
func (noCatalog) Indexed(context.Context) ([]catalog.Row, error)      { return nil, errNoCatalog }

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
