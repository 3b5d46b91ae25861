package store

import (
	"context"
	"path/filepath"

	"github.com/edged/edged/pkg/store/sqlite"
)

// BackUp writes a consistent copy of <home>/edged.db to a file that is not there yet,
// also while edged runs, and returns the copy's schema. The sealed columns stay sealed.
// Errors: errdefs.NotFound without a database, errdefs.AlreadyExists, else the disk's.
func BackUp(ctx context.Context, home, to string) (schema int64, err error) {
	return sqlite.BackUp(ctx, filepath.Join(home, "edged.db"), to)
}

// Schema is the newest schema that this program knows.
func Schema() (int64, error) { return schema().Newest() }
