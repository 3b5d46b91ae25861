package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Layer is a layer of an image: what stands at which absolute path. Folders above an entry need not be named, they are made 0755 and root's. A name that
// begins with `.wh.` takes away what a lower layer has there (image-spec, layer.md).
type Layer map[string]File

// File is an entry of a layer: a folder when Mode has fs.ModeDir, a symbolic link when Link is set, else a regular file.
type File struct {
	// Body is a regular file's content.
	Body []byte
	// Mode has the permissions and fs.ModeSetuid, ModeSetgid, ModeSticky and ModeDir; no permissions at all stand for 0644, or 0755 of a folder.
	Mode fs.FileMode
	// Link is a symbolic link's target, taken as it is.
	Link string
	// UID and GID are the owner's numbers.
	UID, GID int
}

// packedLayer is a layer as a blob. diffID is the digest of the tar without compression, by which the image's record names the layer.
type packedLayer struct {
	blob      []byte
	mediaType string
	diffID    digest.Digest
}

func (l Layer) pack(at time.Time, compress bool) (packedLayer, error) {
	entries, err := l.entries()
	if err != nil {
		return packedLayer{}, err
	}
	var raw bytes.Buffer
	tw := tar.NewWriter(&raw)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		file := entries[name]
		header, err := file.header(name, at)
		if err != nil {
			return packedLayer{}, fmt.Errorf("cannot pack %s: %w", name, err)
		}
		if err := tw.WriteHeader(header); err != nil {
			return packedLayer{}, fmt.Errorf("cannot pack %s: %w", name, err)
		}
		if _, err := tw.Write(file.Body); err != nil {
			return packedLayer{}, fmt.Errorf("cannot pack %s: %w", name, err)
		}
	}
	if err := tw.Close(); err != nil {
		return packedLayer{}, fmt.Errorf("cannot end tar: %w", err)
	}
	packed := packedLayer{blob: raw.Bytes(), mediaType: ocispec.MediaTypeImageLayer, diffID: digest.FromBytes(raw.Bytes())}
	if !compress {
		return packed, nil
	}
	var small bytes.Buffer
	zw := gzip.NewWriter(&small)
	if _, err := zw.Write(raw.Bytes()); err != nil {
		return packedLayer{}, fmt.Errorf("cannot compress: %w", err)
	}
	if err := zw.Close(); err != nil {
		return packedLayer{}, fmt.Errorf("cannot compress: %w", err)
	}
	packed.blob, packed.mediaType = small.Bytes(), ocispec.MediaTypeImageLayerGzip
	return packed, nil
}

// entries is the layer with the folders that its paths imply, by path without the leading slash.
func (l Layer) entries() (map[string]File, error) {
	all := map[string]File{}
	for name, file := range l {
		if !strings.HasPrefix(name, "/") || path.Clean(name) != name || name == "/" {
			return nil, fmt.Errorf("cannot place %q: not a clean absolute path", name)
		}
		all[name[1:]] = file
	}
	for name := range l {
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			above, there := all[dir[1:]]
			if !there {
				all[dir[1:]] = File{Mode: fs.ModeDir | 0o755}
				continue
			}
			if !above.Mode.IsDir() {
				return nil, fmt.Errorf("cannot place %q: %q is not a folder", name, dir)
			}
		}
	}
	return all, nil
}

func (f File) header(name string, at time.Time) (*tar.Header, error) {
	perm := f.Mode.Perm()
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(f.Body)), Uid: f.UID, Gid: f.GID, ModTime: at}
	switch {
	case f.Link != "" && (f.Mode.IsDir() || len(f.Body) > 0):
		return nil, errors.New("a link has neither content nor the mode of a folder")
	case f.Mode.IsDir() && len(f.Body) > 0:
		return nil, errors.New("a folder has no content")
	case f.Mode&fs.ModeType&^fs.ModeDir != 0:
		return nil, fmt.Errorf("mode %s is of no kind that a layer here can have", f.Mode)
	case f.Link != "":
		h.Typeflag, h.Linkname, perm = tar.TypeSymlink, f.Link, 0o777
	case f.Mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		if perm == 0 {
			perm = 0o755
		}
	case perm == 0:
		perm = 0o644
	}
	h.Mode = int64(perm) | specialBits(f.Mode)
	return h, nil
}

// specialBits are a mode's set-id and sticky bits as tar(5) numbers them; Go keeps them elsewhere.
func specialBits(m fs.FileMode) int64 {
	var bits int64
	for mode, bit := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&mode != 0 {
			bits |= bit
		}
	}
	return bits
}
