package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/edged/edged/pkg/upload"
)

var _ upload.Store = (*Store)(nil)

// Packages reads every row, whatever its phase.
func (s *Store) Packages(ctx context.Context) ([]upload.Record, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT phase, record FROM packages ORDER BY uid`)
	if err != nil {
		return nil, fmt.Errorf("cannot read packages: %w", err)
	}
	defer rows.Close()
	var all []upload.Record
	for rows.Next() {
		var r upload.Record
		var text string
		if err := rows.Scan(&r.Phase, &text); err != nil {
			return nil, fmt.Errorf("cannot read package: %w", err)
		}
		if err := json.Unmarshal([]byte(text), &r.Package); err != nil {
			return nil, fmt.Errorf("cannot read package: %w", err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// SavePackage writes a package's row and, with it, how far the packages of its name have come.
func (s *Store) SavePackage(ctx context.Context, r *upload.Record, counter *upload.Counter) error {
	text, err := json.Marshal(&r.Package)
	if err != nil {
		return fmt.Errorf("cannot write package: %w", err)
	}
	return s.tx(ctx, "package", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO packages (uid, phase, record) VALUES (?1, ?2, ?3)
			ON CONFLICT DO UPDATE SET phase = ?2, record = ?3`, r.UID, r.Phase, string(text)); err != nil || counter == nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO package_counters (name, counter) VALUES (?1, ?2)
			ON CONFLICT DO UPDATE SET counter = max(counter, ?2)`, counter.Name, counter.Value)
		return err
	})
}

// DeletePackage removes a package's row, and not its counter.
func (s *Store) DeletePackage(ctx context.Context, uid string) error {
	return s.tx(ctx, "package", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM packages WHERE uid = ?`, uid)
		return err
	})
}

// PackageCounter is the highest number that was signed for a name.
func (s *Store) PackageCounter(ctx context.Context, name string) (int64, bool, error) {
	var n int64
	err := s.read.QueryRowContext(ctx, `SELECT counter FROM package_counters WHERE name = ?`, name).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("cannot read counter of packages: %w", err)
	}
	return n, true, nil
}

// Actions reads every action, the oldest first.
func (s *Store) Actions(ctx context.Context) ([]upload.Action, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT record FROM package_actions ORDER BY begun, uid`)
	if err != nil {
		return nil, fmt.Errorf("cannot read actions: %w", err)
	}
	defer rows.Close()
	var all []upload.Action
	for rows.Next() {
		var text string
		var a upload.Action
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("cannot read action: %w", err)
		}
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			return nil, fmt.Errorf("cannot read action: %w", err)
		}
		all = append(all, a)
	}
	return all, rows.Err()
}

// SaveAction writes an action and forgets all but the newest.
func (s *Store) SaveAction(ctx context.Context, a *upload.Action, keep int) error {
	text, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("cannot write action: %w", err)
	}
	return s.tx(ctx, "action", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO package_actions (uid, begun, record) VALUES (?1, ?2, ?3)
			ON CONFLICT DO UPDATE SET record = ?3`, a.UID, a.Begun.UnixNano(), string(text)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM package_actions WHERE uid NOT IN (
			SELECT uid FROM package_actions ORDER BY begun DESC, uid DESC LIMIT ?)`, keep)
		return err
	})
}
