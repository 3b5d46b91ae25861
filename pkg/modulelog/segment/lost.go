package segment

import (
	"bytes"
	"errors"
	"syscall"
)

// lost counts what a module wrote and nobody could store.
type lost struct {
	bytes, lines int64
	cause        syscall.Errno
}

// add counts the lines of b: their texts, with their newlines.
func (l *lost) add(b []byte) {
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n') + 1
		l.lines++
		l.bytes += int64(n - HeaderLen)
		b = b[n:]
	}
}

// because keeps the first cause: it is the one that began it.
func (l *lost) because(err error) {
	var errno syscall.Errno
	if l.cause == 0 && errors.As(err, &errno) {
		l.cause = errno
	}
}

// tell appends the line that says what is missing.
func (l *lost) tell(b []byte) []byte {
	b = append(b, "edged: the log lost "...)
	b = append(b, itoa(l.bytes)...)
	b = append(b, " bytes in "...)
	b = append(b, itoa(l.lines)...)
	b = append(b, " lines"...)
	if l.cause != 0 {
		b = append(b, ": "...)
		b = append(b, l.cause.Error()...)
	}
	return append(b, '\n')
}
