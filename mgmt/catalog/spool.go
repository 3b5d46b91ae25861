package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// inMemory is up to which size, in bytes, a body or an answer stays in memory.
const inMemory = 1 << 20

// spool holds bytes, many of them in a file, as long as the disk has room for more than
// them: bodies come before anybody knows whether they are worth it.
type spool struct {
	file   func() (*os.File, error)
	room   func() error
	memory bytes.Buffer
	disk   *os.File
	size   int64
	look   int64 // at which size it is looked again whether there is room
}

func (a *api) newSpool() *spool { return &spool{file: a.Spool, room: a.Room} }

func (s *spool) Write(p []byte) (n int, err error) {
	if s.disk == nil && s.memory.Len()+len(p) <= inMemory {
		n, err = s.memory.Write(p)
	} else {
		n, err = s.writeDisk(p)
	}
	s.size += int64(n)
	return n, err
}

func (s *spool) writeDisk(p []byte) (n int, err error) {
	if s.size+int64(len(p)) > s.look {
		if err := s.room(); err != nil {
			return 0, err
		}
		s.look = s.size + int64(len(p)) + inMemory
	}
	if s.disk == nil {
		if s.disk, err = s.file(); err == nil {
			_, err = s.memory.WriteTo(s.disk)
			s.memory = bytes.Buffer{}
		}
	}
	if err == nil {
		n, err = s.disk.Write(p)
	}
	if errors.Is(err, unix.ENOSPC) {
		err = fmt.Errorf("%w: %w", err, errdefs.ErrUnavailable)
	}
	if err != nil {
		return n, fmt.Errorf("cannot keep what is too large for memory: %w", err)
	}
	return n, nil
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
