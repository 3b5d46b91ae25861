package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/edged/edged/pkg/image"
)

var _ image.Store = (*Store)(nil)

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

// ImageUses is the time of the last use of each image, by name.
func (s *Store) ImageUses(ctx context.Context) (map[string]time.Time, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT ref, used_at FROM image_uses`)
	if err != nil {
		return nil, fmt.Errorf("cannot read image uses: %w", err)
	}
	defer rows.Close()
	uses := map[string]time.Time{}
	for rows.Next() {
		var ref string
		var used int64
		if err := rows.Scan(&ref, &used); err != nil {
			return nil, fmt.Errorf("cannot read image use: %w", err)
		}
		uses[ref] = time.Unix(used, 0).UTC()
	}
	return uses, rows.Err()
}

// ForgetImage removes the note of an image's use.
func (s *Store) ForgetImage(ctx context.Context, ref string) error {
	return s.tx(ctx, "image use", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM image_uses WHERE ref = ?`, ref)
		return err
	})
}

// NamedImages lists what every generation names, whatever its module's phase, and in
// the order of their modules.
func (s *Store) NamedImages(ctx context.Context) ([]image.Named, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT module, spec ->> '$.image', image_digest FROM generations ORDER BY module, number`)
	if err != nil {
		return nil, fmt.Errorf("cannot read generations: %w", err)
	}
	defer rows.Close()
	var all []image.Named
	for rows.Next() {
		var n image.Named
		if err := rows.Scan(&n.Module, &n.Ref, &n.Digest); err != nil {
			return nil, fmt.Errorf("cannot read generation: %w", err)
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

// leaveImages notes, where generations of a module are about to be forgotten, that
// their images were in use until now. number and next are those that stay; NULL is none.
func leaveImages(ctx context.Context, tx *sql.Tx, module string, number, next any) error {
	_, err := tx.ExecContext(ctx, `UPDATE image_uses SET used_at = ?1 WHERE digest IN (
		SELECT image_digest FROM generations WHERE module = ?2 AND number IS NOT ?3 AND number IS NOT ?4)`, time.Now().Unix(), module, number, next)
	return err
}
