package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
)

// RestoredNote is a note that a backup has and the database does not: whoever finds it knows
// that the database is of another time than the rest of the device.
const RestoredNote = "restored"

// BackUp writes a consistent copy of <home>/edged.db to a file that is not there yet,
// also while edged runs, and returns the copy's schema. The sealed columns stay sealed, and
// the copy has RestoredNote. Errors: errdefs.NotFound without a database, errdefs.AlreadyExists, else the disk's.
func BackUp(ctx context.Context, home, to string) (schema int64, err error) {
	file := filepath.Join(home, "edged.db")
	if _, err := os.Stat(file); err != nil {
		return 0, fmt.Errorf("cannot back up database: %w: %w", err, errdefs.ErrNotFound)
	}
	if _, err := os.Lstat(to); err == nil {
		return 0, fmt.Errorf("cannot back up database: %s is there already: %w", to, errdefs.ErrAlreadyExists)
	}
	db, err := connect(file, 1, false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if schema, err = schemaOf(ctx, db); err != nil {
		return 0, err
	}
	if err := backUp(ctx, db, to); err != nil {
		return 0, err
	}
	return schema, mark(ctx, to)
}

// mark writes RestoredNote into a copy, and leaves one file behind.
func mark(ctx context.Context, file string) (err error) {
	db, err := connect(file, 1, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, `INSERT INTO notes (key, value) VALUES (?, '1') ON CONFLICT DO UPDATE SET value = '1'`, RestoredNote); err != nil {
		return fmt.Errorf("cannot mark backup: %w", err)
	}
	return nil
}

func schemaOf(ctx context.Context, db *sql.DB) (version int64, err error) {
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("cannot read schema version: %w", err)
	}
	return version, nil
}

// Schema is the newest schema that this program knows.
func Schema() (int64, error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil || len(entries) == 0 {
		return 0, fmt.Errorf("cannot read migrations: %w", err)
	}
	number, _, _ := strings.Cut(entries[len(entries)-1].Name(), "_")
	return strconv.ParseInt(number, 10, 64)
}
