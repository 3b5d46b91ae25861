package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"time"
)

// EnsureIdentity returns the generation id of a module's identity and makes the
// identity when there is none. The id is opaque and URL-safe.
func (s *Store) EnsureIdentity(ctx context.Context, name string) (string, error) {
	var id string
	err := s.read.QueryRowContext(ctx, `SELECT generation_id FROM identities WHERE module_id = ?`, name).Scan(&id)
	if err == nil {
		return id, nil
	}
	err = s.tx(ctx, "identity", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO identities (module_id, managed_by, generation_id)
			VALUES (?, 'iotedge', ?) ON CONFLICT DO NOTHING`, name, rand.Text())
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT generation_id FROM identities WHERE module_id = ?`, name).Scan(&id)
	})
	return id, err
}

// TouchImage notes the time at which an image was last asked for.
func (s *Store) TouchImage(ctx context.Context, ref, digest string) error {
	return s.tx(ctx, "image use", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO image_uses (ref, digest, used_at) VALUES (?1, ?2, ?3)
			ON CONFLICT DO UPDATE SET digest = ?2, used_at = ?3`, ref, digest, time.Now().Unix())
		return err
	})
}
