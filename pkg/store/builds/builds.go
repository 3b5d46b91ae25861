// Package builds is the catalog's database, <home>/catalog.db.
//
// It is a file of its own beside edged.db: SQLite has one writer a file, and a thousand
// rows that somebody writes into the catalog shall not be what the start of a module
// waits for. Nor shall a catalog that is damaged, or of a newer edged, keep modules
// from running.
package builds

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/store/sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// File is the database's name in the home.
const File = "catalog.db"

// readers is enough for a device; each costs its page cache.
const readers = 2

// The caches of a connection. A request for many rows dirties a page for each of them in
// each index: what does not fit is written ahead of the commit, and read again. It is
// given back after such a write.
const (
	readCacheKiB  = 1000
	writeCacheKiB = 8000
)

var _ catalog.Store = (*Store)(nil)

// Store is the open database. It is safe for concurrent use.
type Store struct {
	home  string
	write *sql.DB
	// writer is the one connection of write.
	writer *sql.Conn
	read   *sql.DB
	log    *sql.DB // empties the write-ahead log
	// writing is held for a transaction: a waiting writer shall heed its context, which
	// one that waits for SQLite's lock does not.
	writing chan struct{}
	looking chan struct{}
	stmts   statements
	// prepared are questions on read.
	prepared prepared

	// version grows with each commit; what is remembered of an older one is void.
	tune      tuning
	version   atomic.Int64
	lastID    atomic.Int64 // that a row was ever given, since the start
	counts    [2]atomic.Int64
	positions positions
	ranks     ranks
	memory    memory

	logged     chan struct{} // somebody wrote into the write-ahead log
	failed     atomic.Bool   // and for nothing
	large      atomic.Bool   // and much
	afterLarge func()

	stop    context.CancelFunc
	wg      sync.WaitGroup
	closing sync.Once
}

// Open opens, or makes, the database and brings its schema up to date. The home's lock
// is held by the caller. afterLarge, if there is one, is called a while after a large
// write, to give back what only that needed. Errors: errdefs.FailedPrecondition for a
// newer schema, else the disk's.
func Open(ctx context.Context, home string, afterLarge func()) (*Store, error) {
	s := &Store{
		home: home, writing: make(chan struct{}, 1), looking: make(chan struct{}, 1), logged: make(chan struct{}, 1),
		tune: tuning{near: 500, peek: 128, few: 2000}, positions: positions{size: 64}, ranks: ranks{size: 256}, afterLarge: afterLarge,
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open the catalog: %w", err), s.Close())
	}
	s.wg.Go(func() { s.checkpoint(work) })
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	file := filepath.Join(s.home, File)
	_, statErr := os.Stat(file)
	err := sqlite.MakePrivate(file)
	if err != nil {
		return err
	}
	if s.write, err = sqlite.Connect(file, sqlite.Pool{Conns: 1, CacheKiB: writeCacheKiB, NoCheckpoint: true}); err != nil {
		return err
	}
	if err := schema().Migrate(ctx, s.write, file, errors.Is(statErr, fs.ErrNotExist)); err != nil {
		return err
	}
	if s.read, err = sqlite.Connect(file, sqlite.Pool{Conns: readers, ReadOnly: true, CacheKiB: readCacheKiB}); err != nil {
		return err
	}
	if s.log, err = sqlite.Connect(file, sqlite.Pool{Conns: 1, CacheKiB: 64, Patience: patience}); err != nil {
		return err
	}
	if s.writer, err = s.write.Conn(ctx); err != nil {
		return err
	}
	if err := s.stmts.prepare(ctx, s.writer); err != nil {
		return err
	}
	var last int64
	if err := s.read.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM builds`).Scan(&last); err != nil {
		return err
	}
	s.lastID.Store(last)
	rows, err := s.read.QueryContext(ctx, `SELECT active, n FROM counts`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var active, n int64
		if err := rows.Scan(&active, &n); err != nil {
			return err
		}
		s.counts[active&1].Store(n)
	}
	return rows.Err()
}

func schema() sqlite.Migrations {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sqlite.Migrations{FS: dir}
}

// Schema is the newest schema that this program knows.
func Schema() (int64, error) { return schema().Newest() }

// BackUp is sqlite.BackUp of the catalog in a home.
func BackUp(ctx context.Context, home, to string) (schema int64, err error) {
	return sqlite.BackUp(ctx, filepath.Join(home, File), to)
}

// Close ends the connections; what was answered is on the disk already.
func (s *Store) Close() (err error) {
	s.closing.Do(func() {
		s.stop()
		s.wg.Wait()
		err = errors.Join(s.stmts.close(), s.prepared.closeAll())
		if s.writer != nil {
			err = errors.Join(err, s.writer.Close())
		}
		for _, db := range []*sql.DB{s.log, s.read, s.write} {
			if db != nil {
				err = errors.Join(err, db.Close())
			}
		}
	})
	return err
}
