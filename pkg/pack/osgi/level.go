package osgi

import (
	"archive/zip"
	"bytes"
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
)

var classMagic = []byte{0xca, 0xfe, 0xba, 0xbe}

// javaLevel is the Java that a jar's classes need; 0 if it has none. Classes for later releases under META-INF,
// and module-info, which is only read from the path of modules, are not needed. Jars within it are not looked into.
func (j *jar) javaLevel() (int, error) {
	level := 0
	for _, f := range j.Files {
		if _, meta := inMeta(f.Name); meta || !strings.HasSuffix(f.Name, ".class") || path.Base(f.Name) == "module-info.class" {
			continue
		}
		major, err := classMajor(f)
		if err != nil {
			return 0, j.Told(invalid("cannot read its file %q: %w", f.Name, err))
		}
		level = max(level, major-classFirstJava)
	}
	return level, nil
}

// classMajor is the version of a class file; 0 for what is none.
func classMajor(f *zip.File) (int, error) {
	r, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	head := make([]byte, classHead)
	switch _, err := io.ReadFull(r, head); {
	case err == io.EOF || err == io.ErrUnexpectedEOF && f.UncompressedSize64 < classHead:
		return 0, nil
	case err != nil:
		return 0, err
	}
	if !bytes.HasPrefix(head, classMagic) {
		return 0, nil
	}
	return int(binary.BigEndian.Uint16(head[classMajorAt:])), nil
}
