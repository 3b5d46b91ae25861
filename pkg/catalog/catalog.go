package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/work"
)

// Config is what a Catalog needs.
type Config struct {
	Store Store
	// ModuleMD is the most bytes of one modulemd.
	ModuleMD int
}

// Catalog is the domain of builds. It is safe for concurrent use.
type Catalog struct{ Config }

// New returns a Catalog.
func New(cfg Config) *Catalog { return &Catalog{cfg} }

// Page finds the rows of a page, or of all with Size 0; Rows then reads them. Errors:
// ErrNoPage.
func (c *Catalog) Page(ctx context.Context, q *Query) (Page, error) { return c.Store.Page(ctx, q) }

// Rows is Store.Rows.
func (c *Catalog) Rows(ctx context.Context, ids []int64, fields Fields, fn func(*Row) bool) (int, error) {
	return c.Store.Rows(ctx, ids, fields, fn)
}

// Get returns a row by its uid, if it fits the filters; errdefs.NotFound.
func (c *Catalog) Get(ctx context.Context, uid string, filters []Filter) (*Row, error) {
	return c.Store.Find(ctx, uid, filters)
}

// writeTimeout bounds one request that writes, however many rows it has.
const writeTimeout = 10 * time.Minute

// write is Store.Write, which goes on to its end when the client leaves.
func (c *Catalog) write(ctx context.Context, fn func(Tx) error) error {
	ctx, cancel := work.Lasting(ctx, writeTimeout)
	defer cancel()
	return c.Store.Write(ctx, fn)
}

// Create makes a row of a JSON value. Errors: *Invalid.
func (c *Catalog) Create(ctx context.Context, body any) (r *Row, err error) {
	ch, err := c.readChange(body, false)
	if err != nil {
		return nil, err
	}
	err = c.write(ctx, func(tx Tx) error {
		r, err = c.create(tx, ch)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (c *Catalog) create(tx Tx, ch *change) (*Row, error) {
	r := &Row{RuntimeDeps: encodeDeps(nil), BuildDeps: encodeDeps(nil), RPMs: encodeRPMs(nil)}
	parts, err := ch.apply(tx, r)
	if err != nil {
		return nil, err
	}
	r.Warning = ch.doc.disagreement(r)
	return r, unique(tx.Add(r, parts))
}

// unique says in the API's words that a uid is taken.
func unique(err error) error {
	if errdefs.IsAlreadyExists(err) {
		return &Invalid{Detail: []string{"The fields name, stream, version, context must make a unique set."}}
	}
	return err
}

// Update changes a row by its uid, with partial as PATCH does, else as PUT. The row's
// uid is composed anew. Errors: *Invalid, errdefs.NotFound, errdefs.FailedPrecondition
// for a row of edged's own index.
func (c *Catalog) Update(ctx context.Context, uid string, filters []Filter, body any, partial bool) (r *Row, err error) {
	if partial && Empty(body) {
		return nil, errEmptyPatch()
	}
	err = c.write(ctx, func(tx Tx) error {
		r, err = c.update(tx, uid, filters, body, partial)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

const noChange = "Partial update with no changes does not make much sense."

func errEmptyPatch() error { return &Invalid{Detail: noChange, EmptyPatch: true} }

// Empty is what Python takes for false.
func Empty(body any) bool {
	switch v := body.(type) {
	case nil:
		return true
	case Object:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case string:
		return v == ""
	case bool:
		return !v
	}
	return false
}

func (c *Catalog) update(tx Tx, uid string, filters []Filter, body any, partial bool) (*Row, error) {
	r, err := tx.Find(uid, filters)
	if err != nil {
		return nil, err
	}
	if err := mayWrite(r); err != nil {
		return nil, err
	}
	ch, err := c.readChange(body, partial)
	if err != nil {
		return nil, err
	}
	parts, err := ch.apply(tx, r)
	if err != nil {
		return nil, err
	}
	if ch.modulemd == nil {
		ch.doc = parse(r.ModuleMD)
	}
	r.Warning = ch.doc.disagreement(r)
	return r, unique(tx.Save(r, parts))
}

// Delete removes a row by its uid. What it tells of stays. Errors: errdefs.NotFound,
// errdefs.FailedPrecondition for a row of edged's own index.
func (c *Catalog) Delete(ctx context.Context, uid string, filters []Filter) error {
	return c.write(ctx, func(tx Tx) error { return remove(tx, uid, filters) })
}

func remove(tx Tx, uid string, filters []Filter) error {
	r, err := tx.Find(uid, filters)
	if err != nil {
		return err
	}
	if err := mayWrite(r); err != nil {
		return err
	}
	return tx.Delete(r)
}

// mayWrite keeps what the index says of the device true: it answers who is affected by
// what, and a client that may write rows shall not be able to take one out of the answer.
func mayWrite(r *Row) error {
	if r.Source == "" {
		return nil
	}
	return fmt.Errorf("%q is a row of this device's own index, which says what is here; it goes with the image or package, and is changed by nobody: %w", r.UID, errdefs.ErrFailedPrecondition)
}
