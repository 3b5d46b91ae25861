package store

import (
	"context"
	"database/sql"
	"time"
)

// touchEvery is how exact the time of an image's last use is. Images are kept for days,
// and each write is a wait for the disk.
const touchEvery = time.Hour

// TouchImage notes the time at which an image was last asked for, to the hour.
func (s *Store) TouchImage(ctx context.Context, ref, digest string) error {
	var known string
	var used int64
	err := s.read.QueryRowContext(ctx, `SELECT digest, used_at FROM image_uses WHERE ref = ?`, ref).Scan(&known, &used)
	if age := time.Since(time.Unix(used, 0)); err == nil && known == digest && age >= 0 && age < touchEvery {
		return nil
	}
	return s.tx(ctx, "image use", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO image_uses (ref, digest, used_at) VALUES (?1, ?2, ?3)
			ON CONFLICT DO UPDATE SET digest = ?2, used_at = ?3`, ref, digest, time.Now().Unix())
		return err
	})
}
