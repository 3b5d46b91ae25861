package catalog

import "context"

// Store keeps the rows. When a call that writes has returned, what it wrote is on the
// disk. Errors: Unavailable when the disk is full, else the database's.
type Store interface {
	// Page finds the rows of a page; with Size 0 those of all pages. ErrNoPage.
	Page(ctx context.Context, q *Query) (Page, error)
	// Rows reads rows in the order of their ids, passing over those that are gone, and
	// calls fn with each until it returns false. The row is good until fn returns. It
	// returns how many of the ids it has done with. fn must not wait for anybody.
	Rows(ctx context.Context, ids []int64, fields Fields, fn func(*Row) bool) (int, error)
	// Find reads a row by its uid, if it fits the filters; errdefs.NotFound.
	Find(ctx context.Context, uid string, filters []Filter) (*Row, error)
	// Write runs fn in one transaction, which is given up when fn returns an error.
	Write(ctx context.Context, fn func(Tx) error) error

	IndexStore
}

// Tx is a transaction that writes.
type Tx interface {
	// Find is Store.Find.
	Find(uid string, filters []Filter) (*Row, error)
	// Add writes a new row and sets its ID; errdefs.AlreadyExists for a uid that is taken.
	Add(r *Row, p Parts) error
	// Save writes a row that was there; lists that are nil in p stay as they are.
	// errdefs.AlreadyExists for a uid that another row has.
	Save(r *Row, p Parts) error
	// Delete removes a row.
	Delete(r *Row) error
	// Expect says which RPMs of the API will be looked up: together that is quicker.
	Expect(n []NEVRA) error
	// RPM looks an RPM of the API up.
	RPM(n NEVRA) (id int64, known bool, err error)
	// AddRPM writes a new RPM of the API.
	AddRPM(r *RPM) (id int64, err error)
	// SeenRPM writes a package that was found in an image, if it is not known yet. Such are
	// apart from those of the API: neither can speak for the other.
	SeenRPM(r *RPM) (id int64, err error)
}
