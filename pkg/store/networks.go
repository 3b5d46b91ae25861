package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/edged/edged/pkg/network"
)

var _ network.Store = (*Store)(nil)

// Networks reads what is kept of all modules' networks.
func (s *Store) Networks(ctx context.Context) ([]network.Record, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT module, record FROM networks`)
	if err != nil {
		return nil, fmt.Errorf("cannot read networks: %w", err)
	}
	defer rows.Close()
	var all []network.Record
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return nil, fmt.Errorf("cannot read network: %w", err)
		}
		r := network.Record{}
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, fmt.Errorf("cannot read network of module %q: %w", name, err)
		}
		r.Module = name
		all = append(all, r)
	}
	return all, rows.Err()
}

// SaveNetwork writes the record of a module, which has to be there.
func (s *Store) SaveNetwork(ctx context.Context, r *network.Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("cannot write network: %w", err)
	}
	return s.tx(ctx, "network", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO networks (module, record) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET record = ?2`, r.Module, string(text))
		return err
	})
}

// NameTaken says whether a module besides one has this name, in any case of its letters.
func (s *Store) NameTaken(ctx context.Context, name, besides string) (bool, error) {
	var taken bool
	err := s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM modules WHERE name = ?1 COLLATE NOCASE AND name <> ?2)`, name, besides).Scan(&taken)
	if err != nil {
		return false, fmt.Errorf("cannot look for module %q: %w", name, err)
	}
	return taken, nil
}
