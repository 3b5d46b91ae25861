package builds

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/edged/edged/pkg/catalog"
)

// members are the columns of table builds that answers show, by their bit in Fields.
var members = []string{"uid", "name", "stream", "version", "context", "active", "koji_tag", "modulemd", "runtime_deps", "build_deps", "rpms"}

// targets are where they go.
func targets(r *catalog.Row, fields catalog.Fields) []any {
	all := []any{&r.UID, &r.Name, &r.Stream, &r.Version, &r.Context, &r.Active, &r.KojiTag, &r.ModuleMD, (*raw)(&r.RuntimeDeps), (*raw)(&r.BuildDeps), (*raw)(&r.RPMs)}
	some := all[:0]
	for i, t := range all {
		if fields.Has(1 << i) {
			some = append(some, t)
		}
	}
	return some
}

// raw takes a text without decoding it.
type raw []byte

// Scan implements sql.Scanner.
func (r *raw) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("cannot take a %T for text", v)
	}
	*r = []byte(s)
	return nil
}

func selected(fields catalog.Fields) string {
	var names []string
	for i, m := range members {
		if fields.Has(1 << i) {
			names = append(names, ", b."+m)
		}
	}
	return strings.Join(names, "")
}

// queryer is a pool or a transaction.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// find reads a row by its uid, whatever fits besides.
func find(ctx context.Context, q queryer, uid string, filters []catalog.Filter) (*catalog.Row, error) {
	where, args := []string{"b.uid = ?"}, []any{uid}
	for _, f := range filters {
		c := compile(f)
		if c.none {
			return nil, notFound(uid)
		}
		where, args = append(where, c.probing.sql), append(args, c.probing.args...)
	}
	r := &catalog.Row{}
	var source sql.NullString
	err := q.QueryRowContext(ctx, "SELECT b.id, b.source, b.warning"+selected(catalog.AllFields)+" FROM builds b WHERE "+strings.Join(where, " AND "), args...).
		Scan(append([]any{&r.ID, &source, &r.Warning}, targets(r, catalog.AllFields)...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound(uid)
	}
	r.Source = source.String
	return r, failed(err)
}

// Find reads a row by its uid.
func (s *Store) Find(ctx context.Context, uid string, filters []catalog.Filter) (*catalog.Row, error) {
	return find(ctx, s.read, uid, filters)
}

// atOnce is how many rows are read by one question.
const atOnce = 100

// Rows reads rows in the order of their ids.
func (s *Store) Rows(ctx context.Context, ids []int64, fields catalog.Fields, fn func(*catalog.Row) bool) (int, error) {
	done := 0
	for done < len(ids) {
		n, more, err := s.some(ctx, ids[done:min(done+atOnce, len(ids))], fields, fn)
		done += n
		if err != nil || !more {
			return done, failed(err)
		}
	}
	return done, nil
}

func (s *Store) some(ctx context.Context, ids []int64, fields catalog.Fields, fn func(*catalog.Row) bool) (done int, more bool, err error) {
	rows, err := s.query(ctx, fmt.Sprintf("SELECT j.key, b.id%s FROM json_each(?) j CROSS JOIN builds b ON b.id = j.value", selected(fields)), jsonIDs(ids))
	if err != nil {
		return 0, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var r catalog.Row
		var at int
		if err := rows.Scan(append([]any{&at, &r.ID}, targets(&r, fields)...)...); err != nil {
			return done, false, err
		}
		if at < done {
			return done, false, errors.New("rows came in another order than their ids")
		}
		done = at + 1
		if !fn(&r) {
			return done, false, nil
		}
	}
	return len(ids), true, rows.Err()
}

// jsonIDs is a list of ids as SQLite takes one.
func jsonIDs(ids []int64) string {
	list := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, id, 10)
	}
	return string(append(list, ']'))
}
