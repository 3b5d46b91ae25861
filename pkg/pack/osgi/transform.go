package osgi

import (
	"archive/zip"
	"bytes"
	"hash/crc32"
	"io"
	"path"
	"strings"

	"github.com/edged/edged/pkg/pack"
)

// NeedsTransform says that a framework does not see the bundle as this package does until Transform has written it anew:
// it depends on others in Jahia's way, has its version in Implementation-Version alone, or its manifest under a name in
// other letters.
func (b *Bundle) NeedsTransform() bool { return b.needsTransform }

// Transform writes a bundle as a framework has to see it: the manifest comes first, with Require-Capability and
// Provide-Capability as Jahia-Depends, Jahia-Required-Version and the bundle's names have it, and with Bundle-Version. All other files
// are copied as they are, in their order, but for signatures, which are void with another manifest. The same bytes make the same bytes.
// Errors: *pack.Error (Invalid), else the reader's or writer's.
func Transform(r io.ReaderAt, size int64, limits pack.Limits, w io.Writer) error {
	j, err := openJar(r, size, limits)
	if err != nil {
		return err
	}
	b, err := j.bundle()
	if err != nil {
		return err
	}
	main := &j.manifest.Main
	if b.needsCapabilities(main) {
		if err := b.addCapabilities(main); err != nil {
			return err
		}
	}
	if b.needsVersion(main) {
		main.Set(bundleVersion, b.Version.String())
	}
	return j.Told(j.write(w))
}

// write writes the jar with its manifest.
func (j *jar) write(w io.Writer) error {
	var text bytes.Buffer
	if err := j.manifest.Write(&text); err != nil {
		return err
	}
	out := zip.NewWriter(w)
	// Stored, so that the bytes do not depend on how a compressor does its work. The rest, its time for one, stays.
	head := j.file.FileHeader
	head.Name, head.Method, head.Flags, head.Extra = manifestFile, zip.Store, 0, nil
	head.CRC32 = crc32.ChecksumIEEE(text.Bytes())
	head.CompressedSize64, head.UncompressedSize64 = uint64(text.Len()), uint64(text.Len())
	manifest, err := out.CreateRaw(&head)
	if err != nil {
		return err
	}
	if _, err := manifest.Write(text.Bytes()); err != nil {
		return err
	}
	for _, f := range j.Files {
		if f == j.file || isSignature(f.Name) {
			continue
		}
		if isFolder(f) {
			err = addFolder(out, f)
		} else {
			err = out.Copy(f)
		}
		if err != nil {
			return err
		}
	}
	return out.Close()
}

// addFolder writes a folder without bytes. Java's jar compresses them: two bytes for none.
func addFolder(out *zip.Writer, f *zip.File) error {
	const utf8Name = 0x800 // APPNOTE.TXT, 4.4.4
	head := f.FileHeader
	head.Method, head.Flags = zip.Store, f.Flags&utf8Name
	head.CRC32, head.CompressedSize64, head.UncompressedSize64 = 0, 0, 0
	_, err := out.CreateRaw(&head)
	return err
}

// isSignature says whether a file is of a signature (the JAR File Specification, "Signed JAR File").
func isSignature(name string) bool {
	rest, ok := inMeta(name)
	if !ok || strings.Contains(rest, "/") {
		return false
	}
	switch path.Ext(rest) {
	case ".SF", ".RSA", ".DSA", ".EC":
		return true
	}
	return strings.HasPrefix(rest, "SIG-")
}
