package support

import (
	"bytes"
	"io"
)

// maxLine bounds what is held of a line that does not end.
const maxLine = 256 << 10

// scrubber writes lines with secrets and the users of URLs taken out of them.
type scrubber struct {
	w       io.Writer
	secrets [][]byte
	rest    []byte // of a line that goes on
}

func newScrubber(w io.Writer, secrets []string) *scrubber {
	s := &scrubber{w: w}
	for _, secret := range secrets {
		s.secrets = append(s.secrets, []byte(secret))
	}
	return s
}

func (s *scrubber) Write(p []byte) (int, error) {
	s.rest = append(s.rest, p...)
	whole := bytes.LastIndexByte(s.rest, '\n') + 1
	if whole == 0 && len(s.rest) > maxLine {
		// A secret across this cut is missed in one half at most: keep as much as the longest is.
		whole = len(s.rest) - s.longest()
	}
	if whole <= 0 {
		return len(p), nil
	}
	err := s.put(s.rest[:whole])
	s.rest = append(s.rest[:0], s.rest[whole:]...)
	return len(p), err
}

func (s *scrubber) longest() int {
	n := 1 << 10 // and room for a URL
	for _, secret := range s.secrets {
		n = max(n, len(secret))
	}
	return min(n, maxLine/2)
}

// Close writes what is left of a line without an end.
func (s *scrubber) Close() error { return s.put(s.rest) }

func (s *scrubber) put(b []byte) error {
	for _, secret := range s.secrets {
		b = bytes.ReplaceAll(b, secret, []byte(redacted))
	}
	_, err := s.w.Write(userPart().ReplaceAll(b, []byte("://"+redacted+"@")))
	return err
}
