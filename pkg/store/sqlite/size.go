package sqlite

import "os"

// Size is what a database takes of the disk, in bytes.
type Size struct{ File, WAL int64 }

// SizeOf looks at a database's files; what is not there is 0.
func SizeOf(file string) Size {
	var size Size
	for name, to := range map[string]*int64{file: &size.File, file + "-wal": &size.WAL} {
		if st, err := os.Stat(name); err == nil {
			*to = st.Size()
		}
	}
	return size
}
