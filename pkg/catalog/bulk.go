package catalog

import (
	"context"
	"encoding/json"
	"iter"
	"sync"
)

// Item is a part of a request for many rows: what is to be made of which row.
type Item struct {
	UID  string
	Body any
}

// CreateMany makes a row of each body, in their order: all of them, or none. done is
// called with each row as it is made; an error of the sequence, as of a body that cannot
// be read to its end, gives all of it up. Errors: those of Create in an *ItemError.
func (c *Catalog) CreateMany(ctx context.Context, bodies iter.Seq2[any, error], done func(*Row) error) error {
	stop := make(chan struct{})
	batches := make(chan batch, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(batches)
		c.readAhead(bodies, batches, stop)
	})
	defer wg.Wait()
	defer close(stop)
	return c.write(ctx, func(tx Tx) error {
		i := 0
		for b := range batches {
			if err := tx.Expect(b.nevras()); err != nil {
				return err
			}
			for _, item := range b.items {
				r, err := c.make(tx, item)
				if err != nil {
					return itemError(i, item.body, err)
				}
				if err := done(r); err != nil {
					return err
				}
				i++
			}
			if b.err != nil {
				return b.err
			}
		}
		return nil
	})
}

// prepared is a body that was read, as far as that needs no database.
type prepared struct {
	body   any
	change *change
	err    error
}

// batch is some of them, and the error that the sequence ended with.
type batch struct {
	items []prepared
	err   error
}

// The bounds of a batch: rows, and bytes in memory, about: those of the longest part, and so
// many for each value.
const (
	batchRows  = 64
	batchBytes = 1 << 20
	valueBytes = 40
)

// readAhead reads bodies while those before are written: reading takes half as long as
// writing, and neither needs what the other works with.
func (c *Catalog) readAhead(bodies iter.Seq2[any, error], to chan<- batch, stop <-chan struct{}) {
	var b batch
	size := 0
	send := func() bool {
		select {
		case to <- b:
			b, size = batch{}, 0
			return true
		case <-stop:
			return false
		}
	}
	for body, err := range bodies {
		if err != nil {
			b.err = err
			break
		}
		item := prepared{body: body}
		if item.change, item.err = c.readChange(body, false); item.err == nil && item.change.modulemd != nil {
			size += len(*item.change.modulemd)
		}
		size += valueBytes * count(body)
		b.items = append(b.items, item)
		if item.err != nil {
			break // the rest is for nothing
		}
		if (len(b.items) >= batchRows || size >= batchBytes) && !send() {
			return
		}
	}
	send()
}

// nevras are the RPMs that a batch names, as far as they can be read.
func (b *batch) nevras() []NEVRA {
	var all []NEVRA
	for _, item := range b.items {
		if item.err != nil {
			continue
		}
		for _, r := range item.change.rpms {
			if n, problem := readNEVRA(r); problem == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

func (c *Catalog) make(tx Tx, p prepared) (*Row, error) {
	if p.err != nil {
		return nil, p.err
	}
	return c.create(tx, p.change)
}

// UpdateMany changes rows as Update does: all of them, or none. done is called with the
// uid that an item had, and the row. Errors: those of Update in an *ItemError.
func (c *Catalog) UpdateMany(ctx context.Context, filters []Filter, items iter.Seq2[Item, error], partial bool, done func(uid string, r *Row) error) error {
	return c.write(ctx, func(tx Tx) error {
		for item, err := range items {
			if err != nil {
				return err
			}
			if partial && Empty(item.Body) {
				return itemError(item.UID, item.Body, errEmptyPatch())
			}
			r, err := c.update(tx, item.UID, filters, item.Body, partial)
			if err != nil {
				return itemError(item.UID, item.Body, err)
			}
			if err := done(item.UID, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteMany removes rows: all of them, or none. A uid that comes again counts once.
// Errors: those of Delete in an *ItemError; *Invalid for what is no uid.
func (c *Catalog) DeleteMany(ctx context.Context, filters []Filter, items iter.Seq2[any, error]) (int, error) {
	gone := map[string]bool{} // only what was there: a request cannot make it grow without end
	err := c.write(ctx, func(tx Tx) error {
		for item, err := range items {
			if err != nil {
				return err
			}
			uid, err := identifier(item)
			if err != nil {
				return err
			}
			if gone[uid] {
				continue
			}
			if err := remove(tx, uid, filters); err != nil {
				return itemError(uid, nil, err)
			}
			gone[uid] = true
		}
		return nil
	})
	return len(gone), err
}

func itemError(id, body any, err error) error {
	if Empty(body) {
		body = nil
	}
	return &ItemError{ID: id, Data: body, Err: err}
}

// identifier reads what names a row in a list of those to delete.
func identifier(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		if typeName(v) == "int" {
			return v.String(), nil
		}
	}
	return "", invalid(`"%s" is not a valid identifier.`, encode(v))
}

// Requests for many rows that are none.
var (
	ErrNoList    = &Invalid{Detail: "Bulk delete needs a list of identifiers."}
	ErrNoMapping = &Invalid{Detail: "Bulk update needs a mapping."}
	// ErrNoChange is of an empty mapping; a single change of nothing comes with a header.
	ErrNoChange = &Invalid{Detail: noChange}
)
