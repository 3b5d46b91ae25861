package builds

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/store/sqlite"
)

// Write runs fn in one transaction; others that write wait.
func (s *Store) Write(ctx context.Context, fn func(catalog.Tx) error) error {
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("cannot write to the catalog: %w", context.Cause(ctx))
	}
	defer func() { <-s.writing }()
	if err := s.Roomy(); err != nil {
		return err
	}
	t := &tx{ctx: ctx, s: s, rpms: map[catalog.NEVRA]int64{}}
	if err := s.exec(begin); err != nil {
		return fmt.Errorf("cannot write to the catalog: %w", sqlite.Classify(err))
	}
	err := t.do(fn)
	if err != nil {
		s.failed.Store(true)
	}
	s.wrote()
	if len(t.moves) >= large {
		s.large.Store(true)
		err = errors.Join(err, s.exec(shrink))
	}
	return err
}

// do runs fn, and commits what it did or takes it back.
func (t *tx) do(fn func(catalog.Tx) error) error {
	err := fn(t)
	if err == nil {
		err = t.flush()
	}
	if err == nil {
		err = t.count()
	}
	if t.full != nil {
		err = t.full // it is of the whole, and of no row
	}
	if err != nil {
		return errors.Join(classify(err), t.s.exec(rollback))
	}
	if err := t.s.commit(t); err != nil {
		return fmt.Errorf("cannot write to the catalog: %w", sqlite.Classify(err))
	}
	return nil
}

// classify leaves what the domain says as it is.
func classify(err error) error {
	if sqlite.IsFull(err) {
		return fmt.Errorf("cannot write to the catalog: %w", sqlite.Classify(err))
	}
	return err
}

// commit ends a transaction and takes over what it did, for those who read from now on.
func (s *Store) commit(t *tx) error {
	s.positions.mu.Lock()
	defer s.positions.mu.Unlock()
	s.ranks.mu.Lock()
	defer s.ranks.mu.Unlock()
	if err := s.exec(commit); err != nil {
		return errors.Join(err, s.exec(rollback))
	}
	for i := range t.counted {
		s.counts[i].Add(t.counted[i])
	}
	s.positions.apply(t.moves)
	s.ranks.apply(t.moves)
	s.version.Add(1)
	return nil
}

// tx is one transaction. It remembers what it found, so that a thousand rows which need
// the same do not look for it a thousand times.
type tx struct {
	ctx context.Context //nolint:containedctx // it ends with the transaction
	s   *Store

	rpms    map[catalog.NEVRA]int64
	counted [2]int64
	moves   []move
	needs   []need
	links   []link

	unseen int   // bytes since it was looked whether there is room
	full   error // there is none
}

// maxRemembered bounds what a transaction remembers of each kind.
const maxRemembered = 10_000

// None of the statements is given a context: for each that can end, the driver and
// database/sql start a goroutine that waits for it, which takes longer than most
// statements do. The transaction as a whole heeds it, between two rows.
var always = context.Background()

func (t *tx) exec(k statement, args ...any) error {
	if err := t.room(args); err != nil {
		return err
	}
	_, err := t.s.stmts[k].ExecContext(always, args...)
	return err
}

// insert returns the id of the new row.
func (t *tx) insert(k statement, args ...any) (int64, error) {
	if err := t.room(args); err != nil {
		return 0, err
	}
	r, err := t.s.stmts[k].ExecContext(always, args...)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// exec runs what is of a transaction and no part of it.
func (s *Store) exec(k statement) error {
	_, err := s.stmts[k].ExecContext(always)
	return err
}

func (t *tx) row(k statement, args ...any) *sql.Row {
	return t.s.stmts[k].QueryRowContext(always, args...)
}

// id returns 0 when there is no such row.
func (t *tx) id(k statement, args ...any) (id int64, err error) {
	err = t.row(k, args...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

func (t *tx) Find(uid string, filters []catalog.Filter) (*catalog.Row, error) {
	if len(filters) > 0 {
		if err := t.flush(); err != nil {
			return nil, err
		}
	}
	return find(always, t.s.writer, uid, filters)
}

// Add writes a new row.
func (t *tx) Add(r *catalog.Row, p catalog.Parts) error {
	// SQLite would give the number of a row that went to another one, and whoever found the
	// first and reads it now would get that.
	r.ID = t.s.lastID.Add(1)
	err := t.exec(addBuild, r.ID, r.UID, r.Name, r.Stream, r.Version, r.Context, r.KojiTag, r.Active, null(r.Source), r.Warning,
		string(r.RuntimeDeps), string(r.BuildDeps), string(r.RPMs), r.ModuleMD)
	if err != nil {
		return taken(err)
	}
	t.counted[index(r.Active)]++
	t.moves = append(t.moves, move{r.ID, r.UID, 1})
	if err := t.addFolds(r); err != nil {
		return err
	}
	return t.addParts(r.ID, p)
}

// taken gives what is there already its class.
func taken(err error) error {
	if sqlite.IsTaken(err) {
		return fmt.Errorf("cannot write build: %w: %w", err, errdefs.ErrAlreadyExists)
	}
	return fmt.Errorf("cannot write build: %w", err)
}

// Save writes a row that was there.
func (t *tx) Save(r *catalog.Row, p catalog.Parts) error {
	var before string
	var active bool
	if err := t.row(readBuild, r.ID).Scan(&before, &active); err != nil {
		return fmt.Errorf("cannot read build: %w", err)
	}
	err := t.exec(saveBuild, r.UID, r.Name, r.Stream, r.Version, r.Context, r.KojiTag, r.Active, r.Warning,
		string(r.RuntimeDeps), string(r.BuildDeps), string(r.RPMs), r.ModuleMD, r.ID)
	if err != nil {
		return taken(err)
	}
	t.counted[index(active)]--
	t.counted[index(r.Active)]++
	if before != r.UID {
		t.moves = append(t.moves, move{r.ID, before, -1}, move{r.ID, r.UID, 1})
	}
	if err := t.exec(dropFolds, r.ID); err != nil {
		return fmt.Errorf("cannot write build: %w", err)
	}
	if err := t.addFolds(r); err != nil {
		return err
	}
	gone, err := t.dropParts(r.ID, p)
	if err != nil {
		return err
	}
	if err := t.addParts(r.ID, p); err != nil {
		return err
	}
	return t.sweep(gone)
}

// Delete removes a row, and what no other row has of what goes with rows.
func (t *tx) Delete(r *catalog.Row) error {
	gone, err := t.dropParts(r.ID, catalog.Parts{RuntimeDeps: &[]catalog.Dep{}, BuildDeps: &[]catalog.Dep{}, RPMs: &[]int64{}})
	if err != nil {
		return err
	}
	if err := t.exec(deleteBuild, r.ID); err != nil {
		return fmt.Errorf("cannot delete build: %w", err)
	}
	t.counted[index(r.Active)]--
	t.moves = append(t.moves, move{r.ID, r.UID, -1})
	return t.sweep(gone)
}

// count writes the counters that the transaction changed.
func (t *tx) count() error {
	for active, n := range t.counted {
		if n == 0 {
			continue
		}
		if err := t.exec(addCount, n, active); err != nil {
			return fmt.Errorf("cannot count builds: %w", err)
		}
	}
	return nil
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Indexed lists the rows of edged's own index, without their lists and texts.
func (s *Store) Indexed(ctx context.Context) ([]catalog.Row, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, uid, active, source FROM builds WHERE source IS NOT NULL ORDER BY source`)
	if err != nil {
		return nil, fmt.Errorf("cannot read the index: %w", err)
	}
	defer rows.Close()
	var all []catalog.Row
	for rows.Next() {
		var r catalog.Row
		if err := rows.Scan(&r.ID, &r.UID, &r.Active, &r.Source); err != nil {
			return nil, fmt.Errorf("cannot read the index: %w", err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

func notFound(uid string) error {
	return fmt.Errorf("build %q not found: %w", uid, errdefs.ErrNotFound)
}
