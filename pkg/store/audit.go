package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/peer"
	"github.com/edged/edged/pkg/store/sqlite"
)

var _ audit.Table = (*Store)(nil)

// How many rows of the audit table there are at most. A row has some 400 bytes.
const (
	maxChanges  = 10_000
	maxRefusals = 2_000
	// alikeTime is for how long refusals that are alike go into one row.
	alikeTime = time.Hour
)

// WriteAudit adds entries. It does not give up the ballast for them: that is what an operator frees the disk with.
func (s *Store) WriteAudit(ctx context.Context, entries []audit.Entry) error {
	err := s.try(ctx, func(tx *sql.Tx) error {
		for i := range entries {
			if err := addAudit(ctx, tx, entries[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot write audit table: %w", sqlite.Classify(err))
	}
	return nil
}

func addAudit(ctx context.Context, tx *sql.Tx, e audit.Entry) error {
	var alike *string
	bound := maxChanges
	if e.Kind == audit.Refusal {
		bound = maxRefusals
	}
	if e.Alike != "" {
		alike = &e.Alike
		// The row is made anew, as the newest: who reads on from an id sees that it happened again.
		var before, count int64
		err := tx.QueryRowContext(ctx, `DELETE FROM audit WHERE alike = ? AND time > ? RETURNING time, count`, e.Alike, e.Time.Add(-alikeTime).UnixMicro()).Scan(&before, &count)
		switch {
		case err == nil:
			e.Time, e.Count = time.UnixMicro(before), e.Count+int(count)
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
	}
	text, err := json.Marshal(&e)
	if err != nil {
		return err
	}
	var n int64
	if err := tx.QueryRowContext(ctx, `INSERT INTO audit (kind, n, time, last, count, alike, caller, module, record)
		VALUES (?1, (SELECT coalesce(max(n), 0) + 1 FROM audit WHERE kind = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING n`,
		e.Kind, e.Time.UnixMicro(), e.Last.UnixMicro(), e.Count, alike, callerOf(&e), e.Module, string(text)).Scan(&n); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM audit WHERE kind = ? AND n <= ?`, e.Kind, n-int64(bound))
	return err
}

// callerOf is what Query.Caller finds.
func callerOf(e *audit.Entry) string {
	if e.Caller == peer.Host.String() {
		return strconv.FormatUint(uint64(e.CallerUID), 10)
	}
	return e.CallerModule
}

// Audit returns entries, the newest first.
func (s *Store) Audit(ctx context.Context, q audit.Query) ([]audit.Entry, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, kind, time, last, count, record FROM audit
		WHERE (?1 = '' OR kind = ?1) AND last >= ?2 AND (?3 = '' OR module = ?3) AND (?4 = '' OR caller = ?4) AND (?5 = 0 OR id < ?5) AND id > ?6
		ORDER BY id DESC LIMIT ?7`, q.Kind, q.Since.UnixMicro(), q.Module, q.Caller, q.Before, q.After, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("cannot read audit table: %w", err)
	}
	defer rows.Close()
	var all []audit.Entry
	for rows.Next() {
		var e audit.Entry
		var text string
		var first, last int64
		if err := rows.Scan(&e.ID, &e.Kind, &first, &last, &e.Count, &text); err != nil {
			return nil, fmt.Errorf("cannot read audit table: %w", err)
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return nil, fmt.Errorf("cannot read audit table: %w", err)
		}
		e.Time, e.Last = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
		all = append(all, e)
	}
	return all, rows.Err()
}
