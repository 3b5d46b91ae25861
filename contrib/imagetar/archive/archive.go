// Package archive writes container images as files, without a container runtime.
//
// An archive is an OCI image layout (image-spec, image-layout.md) in a tar, with the manifest.json that Docker's `save` format adds, so that containerd
// 1.6 and later, Docker and the usual copy tools read the same file. The same input gives the same bytes: entries are sorted, times are fixed
// and nothing of the building machine gets in.
//
// It serves the build, which packs the agent's program as an image, and the tests, which make their images with it.
package archive

import (
	"archive/tar"
	_ "crypto/sha256" // go-digest computes only with what the program has linked
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// annotationImageName is what containerd names an imported image by. The OCI annotation beside it may hold a tag alone, so it is not enough.
const annotationImageName = "io.containerd.image.name"

// Image is one image of an archive.
type Image struct {
	// Ref names the image, `host/repository:tag`. A name without a tag is `latest`, one without a host is Docker Hub's, as in Docker. A digest
	// cannot be asked for: it follows from the content.
	Ref string
	// Platform is what the image runs on. OS and Architecture are needed, in the words of GOOS and GOARCH.
	Platform ocispec.Platform
	// Config is what a container of the image starts with.
	Config ocispec.ImageConfig
	// Healthcheck is Docker's addition to the configuration, as JSON; nil for none.
	Healthcheck json.RawMessage
	// Layers are stacked in this order. An image needs none.
	Layers []Layer
	// Created is the time in the image's record and of every entry in its layers, cut to seconds; the zero Time stands for 1970-01-01.
	Created time.Time
	// Compress stores the layers with gzip.
	Compress bool
}

// Write puts an archive of the images to w. Equal layers are stored once. An error tells which image cannot be written and why; what was written by then is
// not an archive.
func Write(w io.Writer, images ...Image) error {
	if len(images) == 0 {
		return errors.New("cannot write archive: no image")
	}
	out := &layout{tar: tar.NewWriter(w), seen: map[digest.Digest]bool{}}
	if err := out.file("oci-layout", mustJSON(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})); err != nil {
		return err
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	var legacy []dockerImage
	for _, img := range images {
		desc, old, err := out.image(img)
		if err != nil {
			return fmt.Errorf("cannot write image %q: %w", img.Ref, err)
		}
		index.Manifests = append(index.Manifests, desc)
		legacy = append(legacy, old)
	}
	if err := out.file("index.json", mustJSON(index)); err != nil {
		return err
	}
	if err := out.file("manifest.json", mustJSON(legacy)); err != nil {
		return err
	}
	if err := out.tar.Close(); err != nil {
		return fmt.Errorf("cannot end archive: %w", err)
	}
	return nil
}

// dockerImage is an element of manifest.json, Docker's own list of what an archive holds.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// layout is the tar that is being written, and the blobs that it has.
type layout struct {
	tar  *tar.Writer
	seen map[digest.Digest]bool
}

func (l *layout) image(img Image) (ocispec.Descriptor, dockerImage, error) {
	name, err := taggedName(img.Ref)
	if err != nil {
		return ocispec.Descriptor{}, dockerImage{}, err
	}
	if img.Platform.OS == "" || img.Platform.Architecture == "" {
		return ocispec.Descriptor{}, dockerImage{}, errors.New("no platform: os and architecture are needed")
	}
	created := img.Created.UTC().Truncate(time.Second)
	if img.Created.IsZero() {
		created = time.Unix(0, 0).UTC()
	}

	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Layers: []ocispec.Descriptor{}}
	config := ocispec.Image{
		Created: &created, Platform: img.Platform, Config: img.Config,
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}},
	}
	old := dockerImage{RepoTags: []string{reference.FamiliarString(name)}, Layers: []string{}}
	for i, layer := range img.Layers {
		packed, err := layer.pack(created, img.Compress)
		if err != nil {
			return ocispec.Descriptor{}, dockerImage{}, fmt.Errorf("cannot pack layer %d: %w", i, err)
		}
		desc, err := l.blob(packed.mediaType, packed.blob)
		if err != nil {
			return ocispec.Descriptor{}, dockerImage{}, err
		}
		manifest.Layers = append(manifest.Layers, desc)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, packed.diffID)
		old.Layers = append(old.Layers, blobPath(desc.Digest))
	}
	record := mustJSON(config)
	if img.Healthcheck != nil {
		if record, err = withHealthcheck(record, img.Healthcheck); err != nil {
			return ocispec.Descriptor{}, dockerImage{}, err
		}
	}
	if manifest.Config, err = l.blob(ocispec.MediaTypeImageConfig, record); err != nil {
		return ocispec.Descriptor{}, dockerImage{}, err
	}
	old.Config = blobPath(manifest.Config.Digest)

	desc, err := l.blob(ocispec.MediaTypeImageManifest, mustJSON(manifest))
	if err != nil {
		return ocispec.Descriptor{}, dockerImage{}, err
	}
	desc.Platform = &img.Platform
	desc.Annotations = map[string]string{annotationImageName: name.String(), ocispec.AnnotationRefName: name.Tag()}
	return desc, old, nil
}

// withHealthcheck adds what the image specification does not have to an image's record.
func withHealthcheck(record, check json.RawMessage) ([]byte, error) {
	var image, config map[string]json.RawMessage
	if err := json.Unmarshal(record, &image); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(image["config"], &config); err != nil {
		return nil, err
	}
	config["Healthcheck"] = check
	if !json.Valid(check) {
		return nil, errors.New("cannot use health check: it is not JSON")
	}
	image["config"] = mustJSON(config)
	return mustJSON(image), nil
}

// blob stores b once and describes it.
func (l *layout) blob(mediaType string, b []byte) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	if l.seen[desc.Digest] {
		return desc, nil
	}
	l.seen[desc.Digest] = true
	return desc, l.file(blobPath(desc.Digest), b)
}

func (l *layout) file(name string, b []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(b)), ModTime: time.Unix(0, 0).UTC()}
	if err := l.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	if _, err := l.tar.Write(b); err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	return nil
}

// blobPath is where the image layout keeps a blob; manifest.json points there too.
func blobPath(d digest.Digest) string {
	return ocispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}

func taggedName(ref string) (reference.NamedTagged, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, fmt.Errorf("cannot use reference: %w", err)
	}
	if _, ok := named.(reference.Digested); ok {
		return nil, errors.New("cannot use reference: it has a digest, which only the content can give")
	}
	tagged, ok := reference.TagNameOnly(named).(reference.NamedTagged)
	if !ok {
		return nil, errors.New("cannot use reference: no tag")
	}
	return tagged, nil
}

// mustJSON encodes this package's own plain structs; a failure is a defect of theirs, not of the input.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
