package inventory

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/knqyf263/go-rpmdb/pkg/bdb"
	dbi "github.com/knqyf263/go-rpmdb/pkg/db"
	"github.com/knqyf263/go-rpmdb/pkg/ndb"
	"github.com/knqyf263/go-rpmdb/pkg/sqlite3"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver that sqlite3 above asks for

	"github.com/edged/edged/pkg/catalog"
)

// parseRPM reads a database of rpm in any of its three formats.
func parseRPM(f *os.File, each func(catalog.RPM) error) error {
	path, err := reachable(f)
	if err != nil {
		return err
	}
	database, err := openRPM(path)
	if err != nil {
		return fmt.Errorf("cannot read rpm's database: %w", err)
	}
	for entry := range database.Read() {
		if entry.Err != nil {
			return fmt.Errorf("cannot read rpm's database: %w", entry.Err)
		}
		p, ok, err := parseHeader(entry.Value)
		if err != nil {
			return fmt.Errorf("cannot read rpm's database: %w", err)
		}
		if !ok {
			continue
		}
		if err := each(p); err != nil {
			return err
		}
	}
	return nil
}

func openRPM(path string) (dbi.RpmDBInterface, error) {
	switch s, err := sqlite3.Open(path); {
	case err == nil:
		return s, nil
	case !errors.Is(err, sqlite3.ErrorInvalidSQLite3):
		return nil, err
	}
	switch n, err := ndb.Open(path); {
	case err == nil:
		return n, nil
	case !errors.Is(err, ndb.ErrorInvalidNDB):
		return nil, err
	}
	return bdb.Open(path)
}

// reachable is a path by which the file can be opened again, as libraries of databases
// want to. A file that this user may not read has to be copied, into memory.
func reachable(f *os.File) (string, error) {
	path := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	if again, err := os.Open(path); err == nil {
		return path, again.Close()
	}
	fd, err := unix.MemfdCreate("rpmdb", unix.MFD_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("cannot copy rpm's database: %w", err)
	}
	memory := os.NewFile(uintptr(fd), "rpmdb") // it is open until the process ends
	if _, err := io.Copy(memory, f); err != nil {
		return "", fmt.Errorf("cannot copy rpm's database: %w", err)
	}
	return "/proc/self/fd/" + strconv.Itoa(fd), nil
}
