package catalog

import (
	"context"
	"encoding/json"
	"iter"
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
	return c.write(ctx, func(tx Tx) error {
		i := 0
		for body, err := range bodies {
			if err != nil {
				return err
			}
			r, err := c.createOne(tx, body)
			if err != nil {
				return itemError(i, body, err)
			}
			if err := done(r); err != nil {
				return err
			}
			i++
		}
		return nil
	})
}

func (c *Catalog) createOne(tx Tx, body any) (*Row, error) {
	ch, err := c.readChange(body, false)
	if err != nil {
		return nil, err
	}
	return c.create(tx, ch)
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
