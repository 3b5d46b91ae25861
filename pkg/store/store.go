package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is enough for a device; each costs its page cache.
const readers = 2

// Store is the open database.
type Store struct {
	write   *sql.DB // one connection: SQLite has one writer, and a queue beats SQLITE_BUSY
	read    *sql.DB
	sealer  Sealer
	ballast *ballast
	lock    *os.File
}

// Open opens, or makes, <home>/edged.db and brings its schema up to date. A
// schema newer than this program is refused: a downgrade must not guess. sealer may be
// nil until SealWith sets it: the keystore that it comes from is remembered here. Errors:
// errdefs.FailedPrecondition (another process has it, newer schema), else the disk's.
func Open(ctx context.Context, home string, sealer Sealer) (*Store, error) {
	lock, err := lockFile(filepath.Join(home, "edged.lock"))
	if err != nil {
		return nil, err
	}
	s := &Store{sealer: sealer, lock: lock, ballast: newBallast(filepath.Join(home, "ballast"))}
	if err := s.open(ctx, filepath.Join(home, "edged.db")); err != nil {
		_ = s.Close()
		return nil, err
	}
	s.ballast.restore()
	return s, nil
}

func (s *Store) open(ctx context.Context, file string) error {
	_, statErr := os.Stat(file)
	fresh := errors.Is(statErr, fs.ErrNotExist)
	// Before SQLite does, whatever the umask: its write-ahead log takes the mode over.
	err := makePrivate(file)
	if err != nil {
		return err
	}
	if s.write, err = connect(file, 1, false); err != nil {
		return err
	}
	if err := s.ballast.retry(func() error { return migrate(ctx, s.write, file, fresh) }); err != nil {
		return err
	}
	s.read, err = connect(file, readers, true)
	return err
}

// connect opens a pool. Cache sizes are in KiB and small: the database is, too.
func connect(file string, conns int, readOnly bool) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}}
	for _, p := range []string{"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "busy_timeout(5000)", "cache_size(-1000)", "journal_size_limit(4194304)"} {
		q.Add("_pragma", p)
	}
	if readOnly {
		q.Add("_pragma", "query_only(1)")
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("cannot open database %s: %w", file, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(1)
	return db, nil
}

// migrate goes up only. Before an existing database is changed, a copy of it is
// written beside it: the way back after a failed upgrade.
func migrate(ctx context.Context, db *sql.DB, file string, fresh bool) error {
	provider, err := schema(db)
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
		if err := backUp(ctx, db, fmt.Sprintf("%s.v%d", file, have)); err != nil {
			return err
		}
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("cannot bring database %s to schema %d: %w", file, want, err)
	}
	return nil
}

// schema is the migrations of a database.
func schema(db *sql.DB) (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("cannot read migrations: %w", err)
	}
	return provider, nil
}

func backUp(ctx context.Context, db *sql.DB, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makePrivate(to); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("cannot back up database to %s: %w", to, err)
	}
	return nil
}

// makePrivate makes a file that root alone may read, if there is none, and takes it
// from others if there is: modules' environments are in it.
func makePrivate(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open database: %w", err)
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// lockFile keeps a second edged out; the kernel gives the lock up with the process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another edged uses %s (%w): %w", filepath.Dir(path), err, errdefs.ErrFailedPrecondition)
	}
	return f, nil
}

// Close ends the connections; what was answered is on the disk already.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	errs = append(errs, s.lock.Close())
	return errors.Join(errs...)
}

// tx runs fn in one write transaction. When the disk is full it gives up the
// ballast and tries once more.
func (s *Store) tx(ctx context.Context, what string, fn func(*sql.Tx) error) error {
	err := s.ballast.retry(func() error {
		tx, err := s.write.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", what, classify(err))
	}
	return nil
}
