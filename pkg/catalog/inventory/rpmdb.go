package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/knqyf263/go-rpmdb/pkg/bdb"
	dbi "github.com/knqyf263/go-rpmdb/pkg/db"
	"github.com/knqyf263/go-rpmdb/pkg/ndb"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver
	"modernc.org/sqlite/vfs"

	"github.com/edged/edged/pkg/catalog"
)

// parseRPM reads a database of rpm in any of its three formats.
func parseRPM(f *os.File, each func(catalog.RPM) error) error {
	magic := make([]byte, 16)
	_, err := io.ReadFull(io.NewSectionReader(f, 0, 16), magic)
	switch {
	case err != nil:
	case string(magic) == "SQLite format 3\x00":
		err = readSQLite(f, func(blob []byte) error { return header(blob, each) })
	default:
		err = readPages(f, func(blob []byte) error { return header(blob, each) })
	}
	if err != nil {
		return fmt.Errorf("cannot read rpm's database: %w", err)
	}
	return nil
}

func header(blob []byte, each func(catalog.RPM) error) error {
	p, ok, err := parseHeader(blob)
	if err != nil || !ok {
		return err
	}
	return each(p)
}

// one is a file system with one file, by whatever name.
type one struct{ file *os.File }

func (o one) Open(string) (fs.File, error) {
	st, err := o.file.Stat()
	if err != nil {
		return nil, err
	}
	return &section{io.NewSectionReader(o.file, 0, st.Size()), st}, nil
}

// section is a reader of the file with a place of its own.
type section struct {
	*io.SectionReader
	info fs.FileInfo
}

func (s *section) Stat() (fs.FileInfo, error) { return s.info, nil }
func (*section) Close() error                 { return nil }

// readSQLite reads through the descriptor that is open: a path leads nowhere here.
func readSQLite(f *os.File, each func([]byte) error) (err error) {
	name, files, err := vfs.New(one{f})
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:rpmdb.sqlite?mode=ro&immutable=1&vfs="+name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(), files.Close()) }()
	db.SetMaxOpenConns(1)
	rows, err := db.QueryContext(context.Background(), "SELECT blob FROM Packages")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var blob sql.RawBytes
		if err := rows.Scan(&blob); err != nil {
			return err
		}
		if err := each(blob); err != nil {
			return err
		}
	}
	return rows.Err()
}

// readPages reads the two formats before SQLite's.
func readPages(f *os.File, each func([]byte) error) error {
	path, err := reachable(f)
	if err != nil {
		return err
	}
	var database dbi.RpmDBInterface
	database, err = ndb.Open(path)
	if errors.Is(err, ndb.ErrorInvalidNDB) {
		database, err = bdb.Open(path)
	}
	if err != nil {
		return err
	}
	for entry := range database.Read() {
		if entry.Err != nil {
			return entry.Err
		}
		if err := each(entry.Value); err != nil {
			return err
		}
	}
	return nil
}

// reachable is a path by which the file can be opened again, as the readers of pages want
// to. A file that this user may not read has to be copied, into memory.
func reachable(f *os.File) (string, error) {
	path := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	if again, err := os.Open(path); err == nil {
		return path, again.Close()
	}
	fd, err := unix.MemfdCreate("rpmdb", unix.MFD_CLOEXEC)
	if err != nil {
		return "", err
	}
	memory := os.NewFile(uintptr(fd), "rpmdb") // it is open until the process ends
	if _, err := io.Copy(memory, f); err != nil {
		return "", err
	}
	return "/proc/self/fd/" + strconv.Itoa(fd), nil
}
