package pack

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Limits of an image archive.
const (
	// maxArchiveFiles bounds the files of an archive: an old one has three a layer.
	maxArchiveFiles = 10_000
	// maxDocuments bounds what is kept of its texts.
	maxDocuments = 8 << 20
	// maxLayerFiles bounds the files of all layers together: each is an inode on the device.
	maxLayerFiles = 2_000_000
)

// member is a file of an image archive that was read.
type member struct {
	digest digest.Digest
	size   int64
	// text is what is in it, when it looks like JSON and is not too large.
	text []byte
	// diff is the digest of what is in it uncompressed, when that is a tar archive;
	// otherwise why says why it is none.
	diff        digest.Digest
	compression compression
	why         error
	// As a layer it has so many bytes and files, and files of so many bytes.
	unpacked, said int64
	files          int
	// platform is what it says as a configuration, when somebody asked.
	platform *ocispec.Platform
}

// Write counts what is unpacked.
func (m *member) Write(p []byte) (int, error) {
	m.unpacked += int64(len(p))
	return len(p), nil
}

// members are all files of an archive, by their clean names.
type members struct {
	files   map[string]*member
	links   map[string]string
	digests map[digest.Digest]string // of files
	// compressed says that the archive is, so that what is in it is counted already.
	compressed bool
	count      *meter
	// said and layersSaid count what files, and those in layers, say they have: holes are no
	// bytes in an archive, and become some when they are read or written.
	said, layersSaid *meter
	layerFiles       int
	texts            int64

	raw, in *bufio.Reader
	buffer  []byte
}

// readMembers reads an archive to its end.
func readMembers(r io.Reader, count *meter) (*members, error) {
	outer, how, err := decompress(r)
	if err != nil {
		return nil, invalid("cannot read its archive: %w", err)
	}
	defer outer.Close()
	plain := io.Reader(outer)
	if how != "" {
		plain = io.TeeReader(outer, count)
	}
	all := &members{
		files: map[string]*member{}, links: map[string]string{}, digests: map[digest.Digest]string{},
		compressed: how != "", count: count, said: &meter{limit: count.limit}, layersSaid: &meter{limit: count.limit},
		raw: bufio.NewReaderSize(nil, 64<<10), in: bufio.NewReaderSize(nil, 64<<10), buffer: make([]byte, 64<<10),
	}
	archive := tar.NewReader(bufio.NewReaderSize(plain, 256<<10))
	for n := 0; ; n++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all, nil // what stands behind is zeros, to fill up a block
		}
		switch {
		case err != nil:
			return nil, archiveError(err)
		case n >= maxArchiveFiles:
			return nil, invalid("its archive has more than %d files", maxArchiveFiles)
		}
		if err := all.take(h, archive); err != nil {
			return nil, err
		}
	}
}

func archiveError(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	return invalid("cannot read its archive: %w", err)
}

func (all *members) take(h *tar.Header, body io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if err := CheckName(h.Name); err != nil {
		return err
	}
	name := path.Clean(h.Name)
	if all.files[name] != nil || all.links[name] != "" {
		return invalid("its archive has the file %q twice", name)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return nil
	case tar.TypeSymlink:
		// Docker writes one where two images share a layer.
		target := path.Join(path.Dir(name), h.Linkname) // #nosec G305 -- a name in the archive alone
		if path.IsAbs(h.Linkname) || strings.HasPrefix(target, "../") || CheckName(target) != nil {
			return invalid("its archive has a link that leaves it: %q", name)
		}
		all.links[name] = target
		return nil
	case tar.TypeReg:
	default:
		return invalid("its archive has something that is no file: %q", name)
	}
	if how, hex, ok := blobName(name); ok && how != digest.SHA256 {
		return invalid("its archive has a blob by another digest than SHA-256: %s:%s", how, hex)
	}
	if err := all.said.add(h.Size); err != nil {
		return err
	}
	m, err := all.read(body, h.Size)
	if err != nil {
		return archiveError(err)
	}
	if _, hex, ok := blobName(name); ok && hex != m.digest.Encoded() {
		return invalid("its archive has a wrong digest: what is in %q has %s", name, m.digest)
	}
	all.files[name], all.digests[m.digest] = m, name
	return nil
}

// blobName takes the name of a blob in an OCI layout apart.
func blobName(name string) (how digest.Algorithm, hex string, ok bool) {
	rest, ok := strings.CutPrefix(name, "blobs/")
	if !ok {
		return "", "", false
	}
	algorithm, hex, ok := strings.Cut(rest, "/")
	return digest.Algorithm(algorithm), hex, ok
}

// read reads one file: its digest, and its text or what it has as a layer.
func (all *members) read(body io.Reader, size int64) (*member, error) {
	sum := sha256.New()
	all.raw.Reset(io.TeeReader(body, sum))
	m := &member{size: size}
	head, err := all.raw.Peek(int(min(size, SniffSize)))
	if err != nil {
		return nil, err
	}
	if size <= maxDocument && isText(head) {
		if all.texts += size; all.texts > maxDocuments {
			return nil, invalid("its archive has more than %d bytes of descriptions", maxDocuments)
		}
		if m.text, err = io.ReadAll(all.raw); err != nil {
			return nil, err
		}
		m.why = errors.New("it is a text")
	} else if err := all.readLayer(m, all.raw); err != nil {
		return nil, err
	}
	if _, err := io.CopyBuffer(onlyWriter{io.Discard}, all.raw, all.buffer); err != nil {
		return nil, err
	}
	m.digest = digest.NewDigest(digest.SHA256, sum)
	if m.why == nil && m.compression == "" {
		m.diff = m.digest
	}
	return m, nil
}

// isText says whether what begins so is meant as JSON. The first file of a layer may have a
// name that begins as JSON does.
func isText(head []byte) bool {
	trimmed := bytes.TrimLeft(head, " \t\r\n")
	return len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && !isTar(head)
}

// readLayer reads a file as a layer. That it is none is no error here: there are others
// in archives, and nobody may ask for it.
func (all *members) readLayer(m *member, raw io.Reader) error {
	z, how, err := decompress(raw)
	m.compression = how
	if err != nil {
		m.why = err
		return nil
	}
	defer z.Close()
	var diff hash.Hash
	plain := io.Reader(z)
	if how != "" || !all.compressed {
		plain = io.TeeReader(plain, all.count)
	}
	plain = io.TeeReader(plain, m)
	if how != "" {
		diff = sha256.New()
		plain = io.TeeReader(plain, diff)
	}
	all.in.Reset(plain)
	if err := all.readLayerFiles(m, all.in); err != nil {
		return all.excuse(m, err)
	}
	if _, err := io.CopyBuffer(onlyWriter{io.Discard}, all.in, all.buffer); err != nil {
		return all.excuse(m, err)
	}
	if diff != nil {
		m.diff = digest.NewDigest(digest.SHA256, diff)
	}
	return nil
}

// excuse keeps why a file is no layer for whoever asks for it as one. A limit has no excuse.
func (all *members) excuse(m *member, err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	m.why = err
	return nil
}

func (all *members) readLayerFiles(m *member, in io.Reader) error {
	files := tar.NewReader(in)
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := all.add(1, h.Size); err != nil {
			return err
		}
		m.files++
		m.said += h.Size
	}
}

// add counts files of layers and what they say they have.
func (all *members) add(files int, size int64) error {
	if all.layerFiles += files; all.layerFiles > maxLayerFiles {
		return invalid("its layers have more than %d files", maxLayerFiles)
	}
	return all.layersSaid.add(size)
}

// again counts a layer that an image has once more: it is in the archive once, and on the
// device as often as it is named.
func (all *members) again(m *member) error {
	if err := all.count.add(m.unpacked); err != nil {
		return err
	}
	return all.add(m.files, m.said)
}
