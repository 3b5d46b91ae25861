package builds

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// maxPrepared bounds the questions that are kept ready. There are as many texts as there
// are combinations of filters, orders and members, and few of them are asked again.
const maxPrepared = 64

// maxText bounds, in bytes, a question that is kept: one with thousands of values takes as
// much memory as all others together.
const maxText = 4 << 10

// prepared keeps questions ready: to understand one takes as long as to answer it.
type prepared struct {
	mu  sync.RWMutex // held by whoever uses a statement
	all map[string]*sql.Stmt
}

// query asks what was perhaps asked before. What a client gives is among the arguments,
// never in the text.
func (s *Store) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if len(text) > maxText {
		return s.read.QueryContext(ctx, text, args...) //nolint:sqlclosecheck,gosec // as below
	}
	p := &s.prepared
	p.mu.RLock()
	defer p.mu.RUnlock()
	stmt := p.all[text]
	if stmt == nil {
		p.mu.RUnlock()
		err := p.add(ctx, s.read, text)
		p.mu.RLock()
		if err != nil {
			return nil, err
		}
		if stmt = p.all[text]; stmt == nil { // others came between
			return s.read.QueryContext(ctx, text, args...) //nolint:sqlclosecheck,gosec // the caller closes; what a client gives is an argument
		}
	}
	return stmt.QueryContext(ctx, args...) //nolint:sqlclosecheck // the caller closes
}

func (p *prepared) add(ctx context.Context, db *sql.DB, text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all[text] != nil {
		return nil
	}
	if p.all == nil || len(p.all) >= maxPrepared {
		_ = p.closeAll() // what is being read goes on
		p.all = map[string]*sql.Stmt{}
	}
	stmt, err := db.PrepareContext(ctx, text) //nolint:sqlclosecheck,gosec // closeAll does; see query
	if err == nil {
		p.all[text] = stmt
	}
	return err
}

func (p *prepared) closeAll() error {
	var errs []error
	for _, stmt := range p.all {
		errs = append(errs, stmt.Close())
	}
	p.all = nil
	return errors.Join(errs...)
}

// number asks for one value.
func (s *Store) value(ctx context.Context, n any, text string, args ...any) error {
	rows, err := s.query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if rows.Next() {
		if err := rows.Scan(n); err != nil {
			return err
		}
	}
	return rows.Err()
}
