package builds

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/store/sqlite"
)

// tuning is where one way to find rows gives way to another.
type tuning struct {
	// near is how many rows SQLite may pass over before a page; what is further behind is
	// found by positions or in a list of all ids.
	near int
	// peek is how many rows are asked for while nobody knows how many there are.
	peek int
	// few is up to how many rows a filter may find for these to be looked up and sorted;
	// beyond, rows are looked at in their order until there are enough.
	few int
}

// search is a query on its way to SQL.
type search struct {
	conditions []condition
	order      string
	plain      bool    // in the order of uids
	slow       bool    // the order takes a look at every row's lists
	many       bool    // so many rows fit that counting them takes a while
	small      bool    // no more than few rows fit
	found      []int64 // the ids of all that fit, where those are known
	key        string
	where      string // what comes behind the table
	args       []any
}

// Page finds the rows of a page.
func (s *Store) Page(ctx context.Context, q *catalog.Query) (catalog.Page, error) {
	version := s.version.Load()
	sr := newSearch(q)
	for _, c := range sr.conditions {
		if c.none {
			return paged(q, 0)
		}
	}
	if err := s.plan(ctx, sr); err != nil {
		return catalog.Page{}, failed(err)
	}
	if q.Size == 0 {
		ids, err := s.all(ctx, sr, version)
		if err != nil {
			return catalog.Page{}, failed(err)
		}
		return catalog.Page{Count: len(ids), Number: 1, Last: 1, IDs: long(ids)}, nil
	}
	if at := (q.Page - 1) * q.Size; q.Page > 0 && at <= s.tune.near && !sr.slow {
		return s.nearPage(ctx, q, sr, version)
	}
	count, err := s.count(ctx, sr, version)
	if err != nil {
		return catalog.Page{}, failed(err)
	}
	page, err := paged(q, count)
	if err != nil {
		return page, err
	}
	page.IDs, err = s.far(ctx, sr, version, (page.Number-1)*q.Size, min(q.Size, count-(page.Number-1)*q.Size))
	return page, failed(err)
}

func failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot read the catalog: %w", sqlite.Classify(err))
}

// paged says which page of how many it is.
func paged(q *catalog.Query, count int) (catalog.Page, error) {
	if q.Size == 0 {
		return catalog.Page{Count: count, Number: 1, Last: 1}, nil
	}
	p := catalog.Page{Count: count, Number: q.Page, Last: max(1, (count+q.Size-1)/q.Size)}
	if q.Page == catalog.LastPage {
		p.Number = p.Last
	}
	if p.Number < 1 || p.Number > p.Last {
		return catalog.Page{}, catalog.ErrNoPage
	}
	return p, nil
}

func newSearch(q *catalog.Query) *search {
	sr := &search{order: orderBy(q.Order), plain: len(q.Order) == 0 || q.Order[0] == catalog.Order{Key: "uid"}}
	if sr.plain {
		sr.order = "b.uid"
	}
	sr.slow = strings.Contains(sr.order, "SELECT")
	var key strings.Builder
	for _, f := range q.Filters {
		sr.conditions = append(sr.conditions, compile(f))
		fmt.Fprintf(&key, "%d %t %q\n", f.Kind, f.Active, f.Values)
	}
	sr.key = key.String()
	return sr
}

// plan decides from which conditions SQLite finds the rows, which it cannot well: how
// many rows a value has differs from one value to the next. Where a few rows fit, those
// are looked up; where many do, rows are looked at in the order of uids.
func (s *Store) plan(ctx context.Context, sr *search) error {
	if len(sr.conditions) == 1 && sr.conditions[0].sorted() {
		sr.from(sr.conditions[0].driving)
		return nil
	}
	var found []int64
	var probes []clause
	rest := []condition{}
	for _, c := range sr.conditions {
		var ids []int64
		var err error
		if n, ok := s.kept(c); !ok || n <= s.tune.few {
			ids, err = s.few(ctx, c.set)
		}
		switch {
		case err != nil:
			return err
		case ids == nil:
			rest = append(rest, c)
		case sr.small:
			found = slices.DeleteFunc(found, func(id int64) bool { _, both := slices.BinarySearch(ids, id); return !both })
		default:
			sr.small, found = true, ids
		}
	}
	for _, c := range rest {
		sr.many = sr.many || !sr.small && !c.sorted()
		if !sr.small && c.sorted() && sr.where == "" {
			sr.from(c.driving)
			continue
		}
		probes = append(probes, c.probing)
	}
	if sr.small {
		if len(probes) == 0 {
			sr.found = found
		}
		sr.where = " INDEXED BY builds_sorted"
		sr.from(clause{"b.id IN (SELECT value FROM json_each(?))", []any{jsonIDs(found)}})
	}
	sr.from(probes...)
	return nil
}

// few are the ids that a query for ids finds, in their own order; nil when there are many.
func (s *Store) few(ctx context.Context, set clause) ([]int64, error) {
	var list sql.NullString
	if err := s.value(ctx, &list, fmt.Sprintf("WITH found(id) AS (%s LIMIT %d) SELECT group_concat(id) FROM found", set.sql, s.tune.few+1), set.args...); err != nil {
		return nil, err
	}
	ids := parseIDs(list.String)
	if len(ids) > s.tune.few {
		return nil, nil
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// from adds conditions.
func (sr *search) from(clauses ...clause) {
	for _, c := range clauses {
		if strings.Contains(sr.where, " WHERE ") {
			sr.where += " AND " + c.sql
		} else {
			sr.where += " WHERE " + c.sql
		}
		sr.args = append(sr.args, c.args...)
	}
}

// nearPage lets SQLite find the page. While the count is not known it asks for some more
// rows than the page has: often there are no more, and then that is the count.
func (s *Store) nearPage(ctx context.Context, q *catalog.Query, sr *search, version int64) (catalog.Page, error) {
	at := (q.Page - 1) * q.Size
	if sr.plain && sr.found != nil {
		return s.fewPage(ctx, q, sr, version)
	}
	count, known := s.known(sr, version)
	limit := q.Size
	switch {
	case known:
	case sr.small: // they are all looked up and sorted for the first of them
		limit = max(q.Size, s.tune.few) + 1
	default:
		limit = max(q.Size+1, s.tune.peek)
	}
	ids, err := s.first(ctx, sr, limit, at)
	if err != nil {
		return catalog.Page{}, failed(err)
	}
	switch {
	case known:
	case len(ids) < limit && (len(ids) > 0 || at == 0):
		count = at + len(ids)
		s.memory.setCount(version, sr.key, count)
	default:
		if count, err = s.count(ctx, sr, version); err != nil {
			return catalog.Page{}, failed(err)
		}
	}
	ids = ids[:min(len(ids), q.Size)]
	// What a write did between the two questions is not for this page to show.
	page, err := paged(q, max(count, at+len(ids)))
	page.IDs = ids
	return page, err
}

// fewPage has the ids of all that fit, and looks up only those that may be on the page.
func (s *Store) fewPage(ctx context.Context, q *catalog.Query, sr *search, version int64) (catalog.Page, error) {
	ids := sr.found
	page, err := paged(q, len(ids))
	if err != nil {
		return page, err
	}
	s.memory.setCount(version, sr.key, len(ids))
	at := (page.Number - 1) * q.Size
	all := int(s.counts[0].Load() + s.counts[1].Load())
	if ids, err = s.ranks.first(ctx, s.read, ids, at+q.Size, all, s.lastID.Load()); err == nil {
		page.IDs, err = s.ids(ctx, "SELECT b.id FROM json_each(?) j CROSS JOIN builds b INDEXED BY builds_sorted ON b.id = j.value ORDER BY b.uid LIMIT ? OFFSET ?", []any{jsonIDs(ids), q.Size, at})
	}
	return page, failed(err)
}

// first are the ids of some rows near the first. In another order than that of uids all
// that fit are sorted for it.
func (s *Store) first(ctx context.Context, sr *search, limit, at int) ([]int64, error) {
	if !sr.plain && !sr.small {
		done, err := s.turn(ctx)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	return s.ids(ctx, fmt.Sprintf("SELECT b.id FROM builds b%s ORDER BY %s LIMIT ? OFFSET ?", sr.where, sr.order), slices.Concat(sr.args, []any{limit, at}))
}

// known is the count, where it is kept: of all rows and of active ones, and of filters
// since the last commit.
func (s *Store) known(sr *search, version int64) (int, bool) {
	if len(sr.conditions) == 0 {
		return int(s.counts[0].Load() + s.counts[1].Load()), true
	}
	if len(sr.conditions) == 1 {
		if n, ok := s.kept(sr.conditions[0]); ok {
			return n, true
		}
	}
	return s.memory.count(version, sr.key)
}

// kept is the count of a condition of which it is kept.
func (s *Store) kept(c condition) (int, bool) {
	if c.driving.sql != "b.active = ?" {
		return 0, false
	}
	return int(s.counts[c.driving.args[0].(int)].Load()), true
}

// count is known, or made and remembered.
func (s *Store) count(ctx context.Context, sr *search, version int64) (int, error) {
	if n, ok := s.known(sr, version); ok {
		return n, nil
	}
	if sr.many {
		done, err := s.turn(ctx)
		if err != nil {
			return 0, err
		}
		defer done()
		if n, ok := s.memory.count(version, sr.key); ok {
			return n, nil
		}
	}
	n := 0
	if err := s.value(ctx, &n, "SELECT count(*) FROM builds b"+sr.where, sr.args...); err != nil {
		return 0, err
	}
	s.memory.setCount(version, sr.key, n)
	return n, nil
}

// turn lets one question at a time look at all rows: there are few connections, and
// quick questions shall find one.
func (s *Store) turn(ctx context.Context) (done func(), err error) {
	select {
	case s.looking <- struct{}{}:
		return func() { <-s.looking }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// far finds a page far behind.
func (s *Store) far(ctx context.Context, sr *search, version int64, at, size int) ([]int64, error) {
	if sr.plain && len(sr.conditions) == 0 {
		from, skip, err := s.positions.at(ctx, s.read, at)
		if err != nil {
			return nil, err
		}
		return s.ids(ctx, "SELECT id FROM builds WHERE uid >= ? ORDER BY uid LIMIT ? OFFSET ?", []any{from, size, skip})
	}
	all, err := s.all(ctx, sr, version)
	if err != nil {
		return nil, err
	}
	at = min(at, len(all))
	return long(all[at:min(at+size, len(all))]), nil
}

// all are the ids of all rows that fit, in their order, remembered until the next commit.
func (s *Store) all(ctx context.Context, sr *search, version int64) ([]uint32, error) {
	key := sr.key + sr.order
	if ids, ok := s.memory.list(version, key); ok {
		return ids, nil
	}
	done, err := s.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if ids, ok := s.memory.list(version, key); ok {
		return ids, nil // of the one before
	}
	rows, err := s.read.QueryContext(ctx, fmt.Sprintf("SELECT b.id FROM builds b%s ORDER BY %s", sr.where, sr.order), sr.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []uint32
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		short, ok := short(id)
		if !ok {
			return nil, fmt.Errorf("there is no room for row %d", id)
		}
		ids = append(ids, short)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	s.memory.setList(version, key, ids)
	return ids, nil
}

func (s *Store) ids(ctx context.Context, query string, args []any) ([]int64, error) {
	return scanIDs(s.query(ctx, query, args...))
}

// scanIDs reads all rows of a query for ids.
func scanIDs(rows *sql.Rows, err error) ([]int64, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func long(short []uint32) []int64 {
	ids := make([]int64, len(short))
	for i, id := range short {
		ids[i] = int64(id)
	}
	return ids
}
