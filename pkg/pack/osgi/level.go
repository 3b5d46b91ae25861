package osgi

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"path"
	"strings"
)

// A class file begins with a magic number, a minor and a major version (Java Virtual Machine Specification, 4.1).
// Java N reads major versions up to N+44.
const (
	classHead      = 8
	classMajorAt   = 6
	classFirstJava = 44
	// classPacked is what is read of a class to unpack its head. Before the first byte comes a table of at
	// most 320 bytes (RFC 1951, 3.2.7).
	classPacked = 512
)

var classMagic = []byte{0xca, 0xfe, 0xba, 0xbe}

// javaLevel is the Java that a jar's classes need; 0 if it has none. Classes for later releases under META-INF,
// and module-info, which is only read from the path of modules, are not needed. Jars within it are not looked into.
func (j *jar) javaLevel() (int, error) {
	level, heads := 0, flate.NewReader(nil)
	for _, f := range j.Files {
		if _, meta := inMeta(f.Name); meta || !strings.HasSuffix(f.Name, ".class") || path.Base(f.Name) == "module-info.class" {
			continue
		}
		major, err := classMajor(f, heads)
		if err != nil {
			return 0, j.Told(invalid("cannot read its file %q: %w", f.Name, err))
		}
		level = max(level, major-classFirstJava)
	}
	return level, nil
}

// classMajor is the version of a class file; 0 for what is none.
func classMajor(f *zip.File, heads io.Reader) (int, error) {
	r, err := f.OpenRaw()
	if err != nil {
		return 0, err
	}
	if f.UncompressedSize64 < classHead {
		return 0, nil
	}
	if f.Method == zip.Deflate {
		// What was unpacked before the end of the piece is given all the same.
		if err := heads.(flate.Resetter).Reset(io.LimitReader(r, classPacked), nil); err != nil {
			return 0, err
		}
		r = heads
	}
	head := make([]byte, classHead)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, err
	}
	if !bytes.HasPrefix(head, classMagic) {
		return 0, nil
	}
	return int(binary.BigEndian.Uint16(head[classMajorAt:])), nil
}
