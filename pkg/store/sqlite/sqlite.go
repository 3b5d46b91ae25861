// Package sqlite opens, migrates and copies edged's databases, all in the same way:
// write-ahead log, every commit on the disk before it is answered, one writer, and
// files that root alone may read.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Pool is how a pool of connections is made.
type Pool struct {
	// Conns is the most connections; one of them is kept when none is in use.
	Conns int
	// ReadOnly connections refuse to write.
	ReadOnly bool
	// CacheKiB bounds the pages that each connection keeps.
	CacheKiB int
	// NoCheckpoint leaves the write-ahead log to somebody who calls Checkpoint, so that no
	// commit waits for it.
	NoCheckpoint bool
	// Patience is how long a lock that others hold is waited for; 5 s when it is not given.
	Patience time.Duration
}

// LogKept is how large, in bytes, a write-ahead log may stay when nothing is in it. SQLite
// cuts a larger one when the next commit begins it anew, which may never come: see Truncate.
const LogKept = 4 << 20

// Connect opens a pool. A writing transaction takes its lock when it begins: a lock that
// is taken later may fail in the middle.
func Connect(file string, p Pool) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}}
	for _, pragma := range []string{
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
		"busy_timeout(" + strconv.FormatInt(cmp.Or(p.Patience, 5*time.Second).Milliseconds(), 10) + ")",
		"cache_size(-" + strconv.Itoa(p.CacheKiB) + ")", "journal_size_limit(" + strconv.Itoa(LogKept) + ")",
	} {
		q.Add("_pragma", pragma)
	}
	if p.NoCheckpoint {
		q.Add("_pragma", "wal_autocheckpoint(0)")
		q.Add("_pragma", "temp_store(2)")
	}
	if p.ReadOnly {
		q.Add("_pragma", "query_only(1)")
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("cannot open database %s: %w", file, err)
	}
	db.SetMaxOpenConns(p.Conns)
	db.SetMaxIdleConns(1)
	return db, nil
}

// Checkpoint brings what is in the write-ahead log into the database's file, as far as
// nobody reads an older state, and waits for nobody.
func Checkpoint(ctx context.Context, db *sql.DB) error {
	_, err := checkpoint(ctx, db, "PASSIVE")
	return err
}

// Truncate is Checkpoint, and gives what the log has of the disk back. For that nobody may
// write, nor read an older state: it waits for them for the pool's Patience, while nobody
// begins to write. It is errdefs.Unavailable when that was not enough.
func Truncate(ctx context.Context, db *sql.DB) error {
	if err := Checkpoint(ctx, db); err != nil { // what takes long, while others write
		return err
	}
	busy, err := checkpoint(ctx, db, "TRUNCATE")
	if err == nil && busy {
		err = fmt.Errorf("cannot cut the write-ahead log while others use it: %w", errdefs.ErrUnavailable)
	}
	return err
}

func checkpoint(ctx context.Context, db *sql.DB, mode string) (busy bool, err error) {
	var log, done int
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &log, &done); err != nil {
		return false, fmt.Errorf("cannot move the write-ahead log: %w", err)
	}
	return busy, nil
}

// MakePrivate makes a file that root alone may read, if there is none, and takes it from
// others if there is: modules' environments are in it. SQLite's write-ahead log takes the
// mode over, so this comes before the first connection.
func MakePrivate(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open database: %w", err)
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// Migrations are the numbered .sql files of one database.
type Migrations struct{ fs.FS }

// Provider applies them to a database.
func (m Migrations) Provider(db *sql.DB) (*goose.Provider, error) {
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, m.FS, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("cannot read migrations: %w", err)
	}
	return provider, nil
}

// Newest is the number of the last one.
func (m Migrations) Newest() (int64, error) {
	entries, err := fs.ReadDir(m.FS, ".")
	if err != nil || len(entries) == 0 {
		return 0, fmt.Errorf("cannot read migrations: %w", err)
	}
	return goose.NumericComponent(entries[len(entries)-1].Name())
}

// Migrate goes up only. Before a database that is not fresh is changed, a copy of it is
// written beside it: the way back after a failed upgrade. A schema newer than this program
// is errdefs.FailedPrecondition: a downgrade must not guess.
func (m Migrations) Migrate(ctx context.Context, db *sql.DB, file string, fresh bool) error {
	provider, err := m.Provider(db)
	if err != nil {
		return err
	}
	have, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("cannot read schema version of %s: %w", file, err)
	}
	sources := provider.ListSources()
	want := sources[len(sources)-1].Version
	switch {
	case have == want:
		return nil
	case have > want:
		return fmt.Errorf("database %s has schema %d, this edged knows up to %d; install the newer edged again: %w", file, have, want, errdefs.ErrFailedPrecondition)
	case !fresh && have > 0:
		if err := Copy(ctx, db, fmt.Sprintf("%s.v%d", file, have)); err != nil {
			return err
		}
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("cannot bring database %s to schema %d: %w", file, want, err)
	}
	return nil
}

// Copy writes a consistent copy to a file, over one that is there.
func Copy(ctx context.Context, db *sql.DB, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := MakePrivate(to); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("cannot back up database to %s: %w", to, err)
	}
	return nil
}

// BackUp writes a consistent copy of a database that others may have open to a file that
// is not there yet, and returns the copy's schema. Errors: errdefs.NotFound without a
// database, errdefs.AlreadyExists, else the disk's.
func BackUp(ctx context.Context, file, to string) (schema int64, err error) {
	if _, err := os.Stat(file); err != nil {
		return 0, fmt.Errorf("cannot back up database: %w: %w", err, errdefs.ErrNotFound)
	}
	if _, err := os.Lstat(to); err == nil {
		return 0, fmt.Errorf("cannot back up database: %s is there already: %w", to, errdefs.ErrAlreadyExists)
	}
	db, err := Connect(file, Pool{Conns: 1, CacheKiB: 1000})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&schema)
	if err != nil {
		return 0, fmt.Errorf("cannot read schema version: %w", err)
	}
	return schema, Copy(ctx, db, to)
}

// IsFull says whether an error means that there is no room on the disk.
func IsFull(err error) bool {
	if errors.Is(err, unix.ENOSPC) {
		return true
	}
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_FULL
}

// IsTaken says whether an error means that there is such a row already.
func IsTaken(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
}

// Classify gives a database's errors an errdefs class: a full disk is for the operator to
// mend and worth a retry then, Unavailable; the rest is ours.
func Classify(err error) error {
	if IsFull(err) {
		return fmt.Errorf("the disk is full: %w: %w", err, errdefs.ErrUnavailable)
	}
	return err
}
