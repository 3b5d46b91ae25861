package pack

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits are what a package may cost whoever reads it.
type Limits struct {
	// Unpacked is the most bytes that all of a package may have unpacked.
	Unpacked int64
}

const (
	// maxRatio is the most that a package may grow by when it is unpacked, unless it stays
	// under freeUnpacked. Programs and file systems shrink to a third or a tenth; what
	// shrinks to a hundredth was made for it.
	maxRatio     = 100
	freeUnpacked = 64 << 20
	// maxDocument is the largest text that is read into memory: a manifest, a description.
	maxDocument = 4 << 20
	// maxName is the longest name of a file in a package.
	maxName = 1024
)

// maxValues bounds the values of a description: in memory the three bytes of "{}," become
// hundreds.
const maxValues = 20_000

// decode reads a description. Commas in texts are taken for values; there are not so many.
func decode(text []byte, into any) error {
	if n := bytes.Count(text, []byte(",")); n > maxValues {
		return fmt.Errorf("it has more than %d values", maxValues)
	}
	return json.Unmarshal(text, into)
}

// meter counts what comes out of a package.
type meter struct{ count, limit int64 }

// meter returns the count for a package of a size.
func (l Limits) meter(packed int64) *meter {
	grown := int64(freeUnpacked)
	if packed > freeUnpacked/maxRatio {
		grown = packed * maxRatio
	}
	return &meter{limit: min(l.Unpacked, grown)}
}

// add counts bytes; the error says that they are too many.
func (m *meter) add(n int64) error {
	if n < 0 || n > m.limit-m.count {
		return limited("it unpacks to more than %d bytes, which is %d times its size or the most that this device takes", m.limit, maxRatio)
	}
	m.count += n
	return nil
}

// Write counts.
func (m *meter) Write(p []byte) (int, error) {
	if err := m.add(int64(len(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// watched remembers what went wrong when a package was read: a disk that fails makes no
// package invalid. Its quota, where there is one, bounds what may be read.
type watched struct {
	r     io.ReaderAt
	quota int64 // bytes; negative for none
	files int   // how many a zip may say it has
	err   error
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, io.ErrUnexpectedEOF // a directory that points out of its archive
	}
	if w.quota >= 0 {
		if int64(len(p)) > w.quota {
			return 0, limited("its directory is too large")
		}
		w.quota -= int64(len(p))
	}
	n, err := w.r.ReadAt(p, off)
	if err != nil && err != io.EOF && w.err == nil {
		w.err = err
	}
	if w.quota >= 0 && n >= zip64EndSize && bytes.HasPrefix(p[:n], zip64EndMagic) && binary.LittleEndian.Uint64(p[zip64EndFiles:]) > uint64(w.files) {
		return 0, limited("it has more than %d files", w.files)
	}
	return n, err
}

// The record at the end of a large zip (APPNOTE.TXT, 4.3.14) says how many files there are, and
// room is made for as many as could be in an archive of its size before one is looked at.
var zip64EndMagic = []byte("PK\x06\x06")

const (
	zip64EndSize  = 56
	zip64EndFiles = 32
)

// stream is watched for what is read from beginning to end.
type stream struct {
	r   io.Reader
	err error
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF && s.err == nil {
		s.err = err
	}
	return n, err
}

// CheckName refuses names of files that could leave a folder, hide or confuse.
func CheckName(name string) error {
	switch {
	case name == "":
		return invalid("it has a file without a name")
	case len(name) > maxName:
		return invalid("it has a file whose name has %d bytes", len(name))
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, `\`):
		return invalid("it has a file of the name %q", name)
	case strings.HasPrefix(name, "/"):
		return invalid("it has a file with an absolute name: %q", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return invalid("it has a file that leaves its folder: %q", name)
		}
	}
	return nil
}
