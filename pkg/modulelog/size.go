package modulelog

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// Size is how many bytes of the disk a module's logs have, of all its generations. A
// module that has none is no error.
func (s *Store) Size(module string) (int64, error) {
	dir, err := s.openModule(module)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot open logs of module %q: %w", module, err)
	}
	defer dir.Close()
	gens, err := listNumbers(dir, segment.ParseNumber)
	if err != nil {
		return 0, fmt.Errorf("cannot list logs of module %q: %w", module, err)
	}
	var size int64
	for _, gen := range gens {
		folder, err := openDirAt(dir, genName(gen))
		if err != nil {
			continue // removed meanwhile
		}
		names, _ := folder.Readdirnames(-1)
		for _, name := range names {
			var st unix.Stat_t
			if unix.Fstatat(int(folder.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
				size += st.Blocks * 512
			}
		}
		_ = folder.Close()
	}
	return size, nil
}
