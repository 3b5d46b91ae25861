package builds

import (
	"path/filepath"

	"github.com/edged/edged/pkg/store/sqlite"
)

// Stats is what there is, for who counts.
type Stats struct {
	sqlite.Size
	Rows int64
}

// Stats reads what is kept anyway, and looks at the files.
func (s *Store) Stats() Stats {
	return Stats{Size: s.size(), Rows: s.counts[0].Load() + s.counts[1].Load()}
}

func (s *Store) size() sqlite.Size { return sqlite.SizeOf(filepath.Join(s.home, File)) }
