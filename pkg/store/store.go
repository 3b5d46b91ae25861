package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/store/sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is enough for a device; each costs its page cache.
const readers = 2

// Store is the open database.
type Store struct {
	file    string
	write   *sql.DB // one connection: SQLite has one writer, and a queue beats SQLITE_BUSY
	read    *sql.DB
	sealer  Sealer
	ballast *ballast
	lock    *os.File
	observe func(time.Duration)
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
	s := &Store{file: filepath.Join(home, "edged.db"), sealer: sealer, lock: lock, ballast: newBallast(filepath.Join(home, "ballast"))}
	if err := s.open(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	s.ballast.restore()
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	file := s.file
	_, statErr := os.Stat(file)
	fresh := errors.Is(statErr, fs.ErrNotExist)
	// Before SQLite does, whatever the umask: its write-ahead log takes the mode over.
	err := sqlite.MakePrivate(file)
	if err != nil {
		return err
	}
	if s.write, err = sqlite.Connect(file, sqlite.Pool{Conns: 1, CacheKiB: cacheKiB}); err != nil {
		return err
	}
	if err := s.ballast.retry(func() error { return schema().Migrate(ctx, s.write, file, fresh) }); err != nil {
		return err
	}
	s.read, err = sqlite.Connect(file, sqlite.Pool{Conns: readers, ReadOnly: true, CacheKiB: cacheKiB})
	return err
}

// cacheKiB is small: the database is, too.
const cacheKiB = 1000

// schema is the database's migrations.
func schema() sqlite.Migrations {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sqlite.Migrations{FS: dir}
}

// lockFile keeps a second edged out; the kernel gives the lock up with the process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another edged uses %s, stop it first (systemctl stop edged.service edged.mgmt.socket edged.workload.socket): %w: %w", filepath.Dir(path), err, errdefs.ErrFailedPrecondition)
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
	err := s.ballast.retry(func() error { return s.try(ctx, fn) })
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", what, sqlite.Classify(err))
	}
	return nil
}

// try runs fn in one write transaction.
func (s *Store) try(ctx context.Context, fn func(*sql.Tx) error) error {
	if s.observe != nil {
		defer func(began time.Time) { s.observe(time.Since(began)) }(time.Now())
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
