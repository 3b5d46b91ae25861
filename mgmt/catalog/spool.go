package catalog

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// inMemory is up to which size, in bytes, a body or an answer stays in memory.
const inMemory = 1 << 20

// spool holds bytes, many of them in a file.
type spool struct {
	file   func() (*os.File, error)
	memory bytes.Buffer
	disk   *os.File
	size   int64
}

func (s *spool) Write(p []byte) (int, error) {
	if s.disk == nil && s.memory.Len()+len(p) > inMemory {
		f, err := s.file()
		if err != nil {
			return 0, fmt.Errorf("cannot keep what is too large for memory: %w", err)
		}
		s.disk = f
		if _, err := s.memory.WriteTo(f); err != nil {
			return 0, err
		}
		s.memory = bytes.Buffer{}
	}
	var n int
	var err error
	if s.disk != nil {
		n, err = s.disk.Write(p)
	} else {
		n, err = s.memory.Write(p)
	}
	s.size += int64(n)
	return n, err
}

// reader reads it from its beginning.
func (s *spool) reader() io.Reader {
	if s.disk != nil {
		return io.NewSectionReader(s.disk, 0, s.size)
	}
	return bytes.NewReader(s.memory.Bytes())
}

// bytes is all of it in memory.
func (s *spool) bytes() ([]byte, error) {
	if s.disk == nil {
		return s.memory.Bytes(), nil
	}
	b := make([]byte, s.size)
	_, err := io.ReadFull(s.reader(), b)
	return b, err
}

func (s *spool) close() {
	if s.disk != nil {
		_ = s.disk.Close()
	}
}
