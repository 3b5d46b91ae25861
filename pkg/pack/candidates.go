package pack

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Limits of an index.
const (
	maxNesting     = 4
	maxDescriptors = 1000
)

// candidate is an image of an archive, for one platform. Without text it is only named.
type candidate struct {
	name     reference.NamedTagged
	platform ocispec.Platform
	manifest ocispec.Descriptor
	text     []byte
}

// dockerEntry is an image in manifest.json.
type dockerEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// choose finds the archive's one image, and of its platforms the best for the device.
func (all *members) choose(platform platforms.MatchComparer) (*candidate, error) {
	legacy, err := all.legacy()
	if err != nil {
		return nil, err
	}
	var found []candidate
	if layout := all.files[ocispec.ImageLayoutFile]; layout != nil {
		found, err = all.fromIndex(layout, legacy)
	} else if len(legacy) > 0 {
		found, err = all.fromLegacy(legacy)
	} else {
		return nil, invalid("it has neither oci-layout nor manifest.json: it is no image archive")
	}
	if err != nil {
		return nil, err
	}
	var best *candidate
	named := false
	for i := range found {
		switch c := &found[i]; {
		case !platform.Match(c.platform):
		case c.text == nil:
			named = true
		case best == nil || platform.Less(c.platform, best.platform):
			best = c
		}
	}
	switch {
	case best == nil && named:
		return nil, invalid("its index names an image for this device, which is not in it")
	case best == nil:
		return nil, foreign(found)
	}
	return best, nil
}

// legacy reads manifest.json, which archives of Docker have, those with an OCI layout too.
func (all *members) legacy() ([]dockerEntry, error) {
	file := all.files["manifest.json"]
	if file == nil {
		return nil, nil
	}
	var list []dockerEntry
	if err := decode(file.text, &list); err != nil {
		return nil, invalid("cannot read its manifest.json: %w", err)
	}
	return list, nil
}

// fromIndex collects the images of an OCI layout.
func (all *members) fromIndex(layout *member, legacy []dockerEntry) ([]candidate, error) {
	var version ocispec.ImageLayout
	if err := decode(layout.text, &version); err != nil || version.Version != ocispec.ImageLayoutVersion {
		return nil, invalid("its layout is of a version that is not known: %q", version.Version)
	}
	file := all.files[ocispec.ImageIndexFile]
	if file == nil {
		return nil, invalid("it has no index.json")
	}
	var index ocispec.Index
	if err := decode(file.text, &index); err != nil {
		return nil, invalid("cannot read its index.json: %w", err)
	}
	w := &indexWalk{all: all, seen: map[digest.Digest]bool{}}
	for _, d := range index.Manifests {
		if err := w.visit(d, nameOf(d.Annotations), 1); err != nil {
			return nil, err
		}
	}
	if len(w.found) == 0 {
		return nil, invalid("it has no image")
	}
	for _, e := range legacy {
		w.names = append(w.names, e.RepoTags...)
	}
	name, err := oneName(w.names)
	if err != nil {
		return nil, err
	}
	for i := range w.found {
		w.found[i].name = name
	}
	return w.found, nil
}

// nameOf is what tools call an image by in an index: containerd's annotation is a whole
// name, OCI's may be one or a tag alone, which names nothing.
func nameOf(annotations map[string]string) string {
	if name := annotations["io.containerd.image.name"]; name != "" {
		return name
	}
	if name := annotations[ocispec.AnnotationRefName]; strings.ContainsAny(name, "/:") {
		return name
	}
	return ""
}

// oneName wants all names to be one: a package is one image.
func oneName(all []string) (reference.NamedTagged, error) {
	var names []string
	for _, n := range all {
		if n == "" {
			continue
		}
		named, err := reference.ParseDockerRef(n)
		if err != nil {
			return nil, invalid("its image has the name %q: %w", n, err)
		}
		names = append(names, named.String())
	}
	slices.Sort(names)
	switch names = slices.Compact(names); len(names) {
	case 0:
		return nil, invalid("its image has no name: save it by its name and tag")
	case 1:
	default:
		return nil, invalid("it has %d names, a package is one image by one name: %s", len(names), strings.Join(names, ", "))
	}
	named, err := reference.ParseDockerRef(names[0])
	if err != nil {
		return nil, invalid("its image has the name %q: %w", names[0], err)
	}
	tagged, ok := named.(reference.NamedTagged)
	if !ok {
		return nil, invalid("its image has a digest for a name, and no tag: %s", named)
	}
	return tagged, nil
}

// indexWalk goes through an index and those in it.
type indexWalk struct {
	all    *members
	found  []candidate
	names  []string
	visits int
	// seen are those that were read: an index may name one a thousand times.
	seen map[digest.Digest]bool
}

func (w *indexWalk) visit(d ocispec.Descriptor, name string, depth int) error {
	if w.visits++; w.visits > maxDescriptors {
		return invalid("its index has more than %d entries", maxDescriptors)
	}
	if depth > maxNesting {
		return invalid("its index has indexes in one another, more than %d deep", maxNesting)
	}
	if err := checkDigest(d); err != nil {
		return err
	}
	if d.Annotations["vnd.docker.reference.type"] != "" {
		return nil // an attestation
	}
	if w.all.digests[d.Digest] == "" && depth > 1 {
		// Another platform's: archives leave out what they were not asked for.
		if d.Platform != nil {
			w.found = append(w.found, candidate{platform: platforms.Normalize(*d.Platform)})
		}
		return nil
	}
	m, err := w.all.description(d)
	if err != nil {
		return err
	}
	if w.seen[d.Digest] {
		w.names = append(w.names, name)
		return nil
	}
	w.seen[d.Digest] = true
	switch d.MediaType {
	case ocispec.MediaTypeImageIndex, dockerIndex:
		var index ocispec.Index
		if err := decode(m.text, &index); err != nil {
			return invalid("cannot read its index %s: %w", d.Digest, err)
		}
		for _, child := range index.Manifests {
			if err := w.visit(child, name, depth+1); err != nil {
				return err
			}
		}
		return nil
	case ocispec.MediaTypeImageManifest, dockerManifest:
		return w.manifest(d, name, m.text)
	}
	return invalid("%s is of a kind that is not known: %q", d.Digest, d.MediaType)
}

func (w *indexWalk) manifest(d ocispec.Descriptor, name string, text []byte) error {
	var m struct {
		ocispec.Manifest
		// What only other documents have: whoever took it for one would see another image.
		Manifests, FSLayers json.RawMessage
	}
	if err := decode(text, &m); err != nil || m.SchemaVersion != 2 || m.Manifests != nil || m.FSLayers != nil {
		return invalid("cannot read its manifest %s", d.Digest)
	}
	if m.MediaType != "" && m.MediaType != d.MediaType {
		return invalid("its manifest %s says that it is %q, and the index %q", d.Digest, m.MediaType, d.MediaType)
	}
	if m.Config.MediaType != ocispec.MediaTypeImageConfig && m.Config.MediaType != dockerConfig {
		return nil // something else that goes with an image: a signature, a bill of materials
	}
	c := candidate{manifest: d, text: text}
	switch {
	case d.Platform != nil && d.Platform.OS == "unknown":
		return nil // an attestation
	case d.Platform != nil:
		c.platform = platforms.Normalize(*d.Platform)
	default:
		p, err := w.all.platform(m.Config)
		if err != nil {
			return err
		}
		c.platform = platforms.Normalize(*p)
	}
	w.found, w.names = append(w.found, c), append(w.names, name)
	return nil
}

// fromLegacy makes a manifest for the image of an archive that has none.
func (all *members) fromLegacy(list []dockerEntry) ([]candidate, error) {
	if len(list) != 1 {
		return nil, invalid("it has %d images, a package is one", len(list))
	}
	e := list[0]
	name, err := oneName(e.RepoTags)
	if err != nil {
		return nil, err
	}
	config := all.find(e.Config)
	if config == nil || config.text == nil {
		return nil, invalid("its configuration %q is not in it, or no JSON", e.Config)
	}
	if stem, ok := strings.CutSuffix(path.Base(e.Config), ".json"); ok && sha256Form().MatchString(stem) && stem != config.digest.Encoded() {
		return nil, invalid("its configuration has a wrong digest: what is in %q has %s", e.Config, config.digest)
	}
	var p ocispec.Platform
	if err := decode(config.text, &p); err != nil {
		return nil, invalid("cannot read its configuration: %w", err)
	}
	m := ocispec.Manifest{
		MediaType: dockerManifest, Layers: []ocispec.Descriptor{},
		Config: ocispec.Descriptor{MediaType: dockerConfig, Digest: config.digest, Size: config.size},
	}
	m.SchemaVersion = 2
	for _, l := range e.Layers {
		file := all.find(l)
		if file == nil {
			return nil, invalid("its layer %q is not in it", l)
		}
		kind := dockerLayer
		if file.compression != "" {
			kind += "." + string(file.compression)
		}
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: kind, Digest: file.digest, Size: file.size})
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return []candidate{{
		name: name, platform: platforms.Normalize(p), text: text,
		manifest: ocispec.Descriptor{MediaType: dockerManifest, Digest: digest.FromBytes(text), Size: int64(len(text))},
	}}, nil
}
