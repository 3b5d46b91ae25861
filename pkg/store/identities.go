package store

import (
	"context"
	"database/sql"

	"github.com/edged/edged/pkg/identity"
	"github.com/edged/edged/pkg/store/sqlite"
)

// Identities returns every module's identity.
func (s *Store) Identities(ctx context.Context) (all []identity.Identity, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT module, module_id, managed_by, generation_id FROM identities`)
	if err != nil {
		return nil, sqlite.Classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id identity.Identity
		if err := rows.Scan(&id.Module, &id.ModuleID, &id.ManagedBy, &id.GenerationID); err != nil {
			return nil, err
		}
		all = append(all, id)
	}
	return all, rows.Err()
}

// SaveIdentity writes an identity whole.
func (s *Store) SaveIdentity(ctx context.Context, id identity.Identity) error {
	return s.tx(ctx, "identity", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO identities (module, module_id, managed_by, generation_id) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT DO UPDATE SET module_id = ?2, managed_by = ?3, generation_id = ?4`, id.Module, id.ModuleID, id.ManagedBy, id.GenerationID)
		return err
	})
}

// DeleteIdentity removes a module's identity; one that is not there is no error.
func (s *Store) DeleteIdentity(ctx context.Context, module string) error {
	return s.tx(ctx, "identity", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM identities WHERE module = ?`, module)
		return err
	})
}
