package builds

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Rows that a filter finds are some hundreds all over the table, and looking each of them
// up, to sort them by uid for the first twenty, takes most of an answer's time. So it is
// remembered of each row roughly where in the order of uids it is: then only those are
// looked up that can be among the first.

// ranks are empty until somebody asks for them.
type ranks struct {
	// mu is held for a commit too: what is known of a row is what was committed.
	mu sync.Mutex
	// cuts divide the order: a row's rank is the last cut that is not behind its uid. They
	// stay where they are when rows come and go.
	cuts []string
	// of is, by id, one more than the row's rank; 0 for what nobody knows.
	of []uint16
	// size is how many rows are between two cuts when they are made.
	size int
	// came is how many rows have come since.
	came int
}

// maxSparse is how many ids there may be that no row has any more: they take two bytes each.
const maxSparse = 1 << 20

// apply takes over what was committed; the caller holds the lock.
func (r *ranks) apply(moves []move) {
	if r.cuts == nil {
		return
	}
	for _, m := range moves {
		if m.n < 0 {
			continue // the number does not come again
		}
		r.came++
		r.set(m.id, r.rank(m.uid))
	}
	if r.came > len(r.cuts)*r.size {
		r.cuts, r.of = nil, nil // there are better ones by now
	}
}

func (r *ranks) rank(uid string) int {
	i, found := slices.BinarySearch(r.cuts, uid)
	if found {
		return i
	}
	return i - 1
}

func (r *ranks) set(id int64, rank int) {
	if n := int(id) + 1; n > len(r.of) {
		r.of = slices.Grow(r.of, n-len(r.of))[:n]
	}
	r.of[id] = uint16(rank + 1) //nolint:gosec // make sees to it
}

// first picks from ids those that may be among the first n, at least one, in the order of uids;
// count is how many rows there are, and last the greatest id. It may reorder ids.
func (r *ranks) first(ctx context.Context, db *sql.DB, ids []int64, n, count int, last int64) ([]int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last > int64(4*count+maxSparse) || count/r.size >= 1<<16-1 {
		return ids, nil
	}
	if r.cuts == nil {
		if err := r.make(ctx, db, last); err != nil {
			return nil, err
		}
	}
	rank := func(id int64) uint16 {
		if id < 0 || id >= int64(len(r.of)) {
			return 0
		}
		return r.of[id]
	}
	slices.SortFunc(ids, func(a, b int64) int { return cmp.Compare(rank(a), rank(b)) })
	for n < len(ids) && rank(ids[n]) == rank(ids[n-1]) {
		n++
	}
	return ids[:min(n, len(ids))], nil
}

// make looks at all rows. It holds the lock, without which nothing is committed.
func (r *ranks) make(ctx context.Context, db *sql.DB, last int64) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	some, err := tx.PrepareContext(ctx, `SELECT (SELECT uid FROM builds WHERE uid >= ?1 ORDER BY uid LIMIT 1 OFFSET ?2),
		group_concat(id) FROM (SELECT id FROM builds WHERE uid >= ?1 ORDER BY uid LIMIT ?2)`)
	if err != nil {
		return err
	}
	defer some.Close()
	made := ranks{of: make([]uint16, 0, last+1+last/8)}
	for next := (sql.NullString{Valid: true}); next.Valid; {
		made.cuts = append(made.cuts, next.String)
		var ids sql.NullString
		if err := some.QueryRowContext(ctx, next.String, r.size).Scan(&next, &ids); err != nil {
			return err
		}
		for _, id := range parseIDs(ids.String) {
			made.set(id, len(made.cuts)-1)
		}
	}
	r.cuts, r.of, r.came = made.cuts, made.of, 0
	return nil
}

// parseIDs reads what group_concat writes; it is never nil.
func parseIDs(list string) []int64 {
	ids := []int64{}
	for text := range strings.SplitSeq(list, ",") {
		if id, err := strconv.ParseInt(text, 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}
