package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Note returns a small fact, empty when it was never written.
func (s *Store) Note(ctx context.Context, key string) (string, error) {
	var value string
	err := s.read.QueryRowContext(ctx, `SELECT value FROM notes WHERE key = ?`, key).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("cannot read note %s: %w", key, err)
	}
	return value, nil
}

// SetNote writes a small fact.
func (s *Store) SetNote(ctx context.Context, key, value string) error {
	return s.tx(ctx, "note", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO notes (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2`, key, value)
		return err
	})
}
