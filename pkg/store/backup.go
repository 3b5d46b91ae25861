package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/edged/edged/pkg/store/sqlite"
)

// RestoredNote is a note that a backup has and the database does not: whoever finds it knows
// that the database is of another time than the rest of the device.
const RestoredNote = "restored"

// BackUp writes a consistent copy of <home>/edged.db to a file that is not there yet,
// also while edged runs, and returns the copy's schema. The sealed columns stay sealed, and
// the copy has RestoredNote. Errors: errdefs.NotFound without a database, errdefs.AlreadyExists, else the disk's.
func BackUp(ctx context.Context, home, to string) (schema int64, err error) {
	schema, err = sqlite.BackUp(ctx, filepath.Join(home, "edged.db"), to)
	if err != nil {
		return 0, err
	}
	return schema, mark(ctx, to)
}

// mark writes RestoredNote into a copy, and leaves one file behind.
func mark(ctx context.Context, file string) (err error) {
	db, err := sqlite.Connect(file, sqlite.Pool{Conns: 1, CacheKiB: cacheKiB})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, `INSERT INTO notes (key, value) VALUES (?, '1') ON CONFLICT DO UPDATE SET value = '1'`, RestoredNote); err != nil {
		return fmt.Errorf("cannot mark backup: %w", err)
	}
	return nil
}

// Schema is the newest schema that this program knows.
func Schema() (int64, error) { return schema().Newest() }
