package pack

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is the image of an archive that is for this device, and was found to be sound:
// all its digests were computed and all its layers unpacked once, for nobody.
type Image struct {
	// Name is what it is called, with a tag.
	Name reference.NamedTagged
	// Platform is what its configuration says.
	Platform ocispec.Platform
	// Manifest describes what Text has; where the archive has no manifest, as older ones of
	// Docker, it is made here.
	Manifest ocispec.Descriptor
	Text     []byte
	// Config is described by Manifest; its text is ConfigText.
	Config     ocispec.Descriptor
	ConfigText []byte
	Layers     []ocispec.Descriptor
	// Unpacked is how many bytes the archive has unpacked.
	Unpacked int64

	// files is where in the archive the layers are.
	files map[string]ocispec.Descriptor
}

// ReadImage reads an archive of a size to its end, and chooses the image for a platform.
// Errors: *Error (Invalid; Foreign when there is none for it), else the reader's.
func ReadImage(r io.Reader, size int64, platform platforms.MatchComparer, limits Limits) (*Image, error) {
	in := &stream{r: r}
	count := limits.meter(size)
	all, err := readMembers(in, count)
	if in.err != nil {
		return nil, fmt.Errorf("cannot read package: %w", in.err)
	}
	if err != nil {
		return nil, err
	}
	c, err := all.choose(platform)
	if err != nil {
		return nil, err
	}
	im, err := all.image(c)
	if err != nil {
		return nil, err
	}
	if !platform.Match(im.Platform) {
		return nil, foreign([]candidate{*c})
	}
	im.Unpacked = count.count
	return im, nil
}

// Blobs calls each for every layer, as it comes in the archive, which is read again.
func (im *Image) Blobs(r io.Reader, each func(ocispec.Descriptor, io.Reader) error) error {
	outer, _, err := decompress(r)
	if err != nil {
		return err
	}
	defer outer.Close()
	left := map[digest.Digest]bool{}
	for _, l := range im.Layers {
		left[l.Digest] = true
	}
	archive := tar.NewReader(outer)
	for len(left) > 0 {
		h, err := archive.Next()
		if err != nil {
			return fmt.Errorf("cannot read image archive again: %w", err)
		}
		desc, ok := im.files[path.Clean(h.Name)]
		if !ok || !left[desc.Digest] || h.Typeflag != tar.TypeReg {
			continue
		}
		if err := each(desc, archive); err != nil {
			return err
		}
		delete(left, desc.Digest)
	}
	return nil
}

// find returns a file, through a link if need be.
func (all *members) find(name string) *member {
	name = path.Clean(name)
	if target, ok := all.links[name]; ok {
		name = target
	}
	return all.files[name]
}

// image reads the manifest of the candidate and holds everything that it names against
// what is there.
func (all *members) image(c *candidate) (*Image, error) {
	im := &Image{Name: c.name, Manifest: bare(c.manifest), Text: c.text, files: map[string]ocispec.Descriptor{}}
	var m ocispec.Manifest
	if err := json.Unmarshal(c.text, &m); err != nil {
		return nil, invalid("cannot read its manifest: %w", err)
	}
	im.Config = bare(m.Config)
	config, err := all.blob(m.Config)
	if err != nil {
		return nil, err
	}
	if config.text == nil {
		return nil, invalid("its configuration %s is no JSON, or larger than %d bytes", m.Config.Digest, maxDocument)
	}
	im.ConfigText = config.text
	var parsed ocispec.Image
	if err := json.Unmarshal(config.text, &parsed); err != nil {
		return nil, invalid("cannot read its configuration: %w", err)
	}
	im.Platform = platforms.Normalize(parsed.Platform)
	if parsed.OS == "" || parsed.Architecture == "" {
		return nil, invalid("its configuration does not say what it runs on")
	}
	if len(m.Layers) != len(parsed.RootFS.DiffIDs) {
		return nil, invalid("it has %d layers, and its configuration names %d", len(m.Layers), len(parsed.RootFS.DiffIDs))
	}
	if len(m.Layers) > maxLayers {
		return nil, invalid("it has %d layers, %d at most can be stacked", len(m.Layers), maxLayers)
	}
	for i, l := range m.Layers {
		if err := all.checkLayer(l, parsed.RootFS.DiffIDs[i]); err != nil {
			return nil, err
		}
		im.Layers = append(im.Layers, bare(l))
		im.files[all.digests[l.Digest]] = bare(l)
	}
	return im, nil
}

// maxLayers is what overlayfs stacks, less what a container adds.
const maxLayers = 120

// blob finds what a descriptor describes.
func (all *members) blob(d ocispec.Descriptor) (*member, error) {
	if err := checkDigest(d); err != nil {
		return nil, err
	}
	m := all.files[all.digests[d.Digest]]
	if m == nil {
		return nil, invalid("it names %s, which is not in it", d.Digest)
	}
	if m.size != d.Size {
		return nil, invalid("%s has %d bytes, and it says %d", d.Digest, m.size, d.Size)
	}
	return m, nil
}

func checkDigest(d ocispec.Descriptor) error {
	if err := d.Digest.Validate(); err != nil || d.Digest.Algorithm() != digest.SHA256 {
		return invalid("it names a blob by %q, which is no SHA-256", d.Digest)
	}
	return nil
}

// checkLayer holds a layer to what is said of it.
func (all *members) checkLayer(d ocispec.Descriptor, diff digest.Digest) error {
	how, ok := layerTypes[d.MediaType]
	if !ok {
		return invalid("its layer %s is of a kind that cannot be unpacked: %q", d.Digest, d.MediaType)
	}
	m, err := all.blob(d)
	switch {
	case err != nil:
		return err
	case m.why != nil:
		return invalid("its layer %s cannot be read: %w", d.Digest, m.why)
	case m.compression != how:
		return invalid("its layer %s is not compressed as %q says", d.Digest, d.MediaType)
	case m.diff != diff:
		return invalid("its layer %s has a wrong digest: uncompressed it is %s, and its configuration says %s", d.Digest, m.diff, diff)
	}
	return nil
}

// bare is a descriptor without what it may say besides.
func bare(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// Media types of Docker's, which OCI took over.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
)

// layerTypes are those of layers that are in an archive themselves, and are not encrypted.
var layerTypes = map[string]compression{
	ocispec.MediaTypeImageLayer:     plain,
	ocispec.MediaTypeImageLayerGzip: gzipped,
	ocispec.MediaTypeImageLayerZstd: zstandard,
	dockerLayer:                     plain,
	dockerLayer + ".gzip":           gzipped,
	dockerLayer + ".zstd":           zstandard,
}

// foreign says that none of the candidates is for this device.
func foreign(all []candidate) error {
	var names []string
	for _, c := range all {
		names = append(names, platforms.FormatAll(c.platform))
	}
	slices.Sort(names)
	return fault(Foreign, "it is for %s; this device is %s", strings.Join(slices.Compact(names), ", "), platforms.FormatAll(platforms.DefaultSpec()))
}
