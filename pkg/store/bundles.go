package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/edged/edged/pkg/bundle"
)

var _ bundle.Store = (*Store)(nil)

// Bundles reads every row.
func (s *Store) Bundles(ctx context.Context) ([]bundle.Record, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT record FROM bundles ORDER BY name, version`)
	if err != nil {
		return nil, fmt.Errorf("cannot read bundles: %w", err)
	}
	defer rows.Close()
	var all []bundle.Record
	for rows.Next() {
		var text string
		var r bundle.Record
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("cannot read bundle: %w", err)
		}
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, fmt.Errorf("cannot read bundle: %w", err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// SaveBundles writes and removes rows in one step.
func (s *Store) SaveBundles(ctx context.Context, put []bundle.Record, remove []bundle.Key) error {
	return s.tx(ctx, "bundles", func(tx *sql.Tx) error {
		for _, k := range remove {
			if _, err := tx.ExecContext(ctx, `DELETE FROM bundles WHERE name = ? AND version = ?`, k.Name, k.Version); err != nil {
				return err
			}
		}
		for i := range put {
			text, err := json.Marshal(&put[i])
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO bundles (name, version, record) VALUES (?1, ?2, ?3)
				ON CONFLICT DO UPDATE SET record = ?3`, put[i].Name, put[i].Version, string(text)); err != nil {
				return err
			}
		}
		return nil
	})
}
