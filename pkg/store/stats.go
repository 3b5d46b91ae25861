package store

import (
	"os"
	"time"

	"github.com/edged/edged/pkg/store/sqlite"
)

// Stats is what the database takes of the disk.
type Stats struct {
	sqlite.Size
	// Ballast says that the room is there that a full disk gets back.
	Ballast bool
}

// Stats looks at the files.
func (s *Store) Stats() Stats {
	st, err := os.Stat(s.ballast.path)
	return Stats{Size: sqlite.SizeOf(s.file), Ballast: err == nil && st.Size() >= ballastSize}
}

// ObserveWrites has each write's time, with the wait for its turn, told to f. It is to be
// called before anything is written.
func (s *Store) ObserveWrites(f func(time.Duration)) { s.observe = f }
