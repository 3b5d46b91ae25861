package pack

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/pkg/pack/packtest"
)

var amd64 = platforms.Only(platforms.MustParse("linux/amd64"))

func readImage(b []byte) (*Image, error) {
	return ReadImage(bytes.NewReader(b), int64(len(b)), amd64, roomy)
}

func demo(ref, arch string) archive.Image {
	return archive.Image{
		Ref: ref, Platform: ocispec.Platform{OS: "linux", Architecture: arch}, Compress: true,
		Layers: []archive.Layer{{"/bin/one": {Body: []byte("one " + arch)}}, {"/bin/two": {Body: []byte("two")}}},
	}
}

func written(t *testing.T, images ...archive.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, archive.Write(&b, images...))
	return b.Bytes()
}

// layout is an OCI layout in the making.
type layout struct {
	files map[string][]byte
	index ocispec.Index
}

func newLayout() *layout {
	return &layout{files: map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}, index: ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}}}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func (l *layout) blob(kind string, b []byte) ocispec.Descriptor {
	d := digest.FromBytes(b)
	l.files["blobs/sha256/"+d.Encoded()] = b
	return ocispec.Descriptor{MediaType: kind, Digest: d, Size: int64(len(b))}
}

// image adds an image with one layer, given compressed and not.
func (l *layout) image(arch, layerType string, layer, diff []byte) ocispec.Descriptor {
	config := l.blob(ocispec.MediaTypeImageConfig, encode(ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: arch}, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(diff)}},
	}))
	d := l.blob(ocispec.MediaTypeImageManifest, encode(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{l.blob(layerType, layer)},
	}))
	d.Platform = &ocispec.Platform{OS: "linux", Architecture: arch}
	return d
}

func (l *layout) sub(manifests ...ocispec.Descriptor) ocispec.Descriptor {
	return l.blob(ocispec.MediaTypeImageIndex, encode(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: manifests}))
}

func (l *layout) add(name string, d ocispec.Descriptor) {
	d.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	l.index.Manifests = append(l.index.Manifests, d)
}

func (l *layout) bytes() []byte {
	l.files["index.json"] = encode(l.index)
	var files []packtest.File
	for _, name := range slices.Sorted(maps.Keys(l.files)) {
		files = append(files, packtest.Plain(name, l.files[name]))
	}
	return packtest.Tar(files...)
}

var aLayer = packtest.Tar(packtest.Plain("bin/sh", []byte("shell")))

func zstdOf(b []byte, opts ...zstd.EOption) []byte {
	w, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(b, nil)
}

// read checks that an image's blobs are those of its manifest.
func blobsOf(t *testing.T, im *Image, b []byte) {
	t.Helper()
	require.Equal(t, im.Manifest.Digest, digest.FromBytes(im.Text))
	require.Equal(t, im.Config.Digest, digest.FromBytes(im.ConfigText))
	var got []digest.Digest
	require.NoError(t, im.Blobs(bytes.NewReader(b), func(d ocispec.Descriptor, r io.Reader) error {
		blob, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, d.Digest, digest.FromBytes(blob))
		got = append(got, d.Digest)
		return nil
	}))
	var want []digest.Digest
	for _, l := range im.Layers {
		want = append(want, l.Digest)
	}
	require.ElementsMatch(t, want, got)
}

func TestArchivesInAllTheirForms(t *testing.T) {
	plain := written(t, demo("app:1.2.3", "amd64"))
	layer := packtest.Gzip(aLayer)
	named := newLayout()
	named.add("registry.example/app:1.2.3", named.image("amd64", ocispec.MediaTypeImageLayerGzip, layer, aLayer))
	nested := newLayout()
	nested.add("docker.io/library/app:1.2.3", nested.sub(nested.sub(nested.image("arm64", ocispec.MediaTypeImageLayerGzip, layer, aLayer), nested.image("amd64", ocispec.MediaTypeImageLayerGzip, layer, aLayer))))
	small := newLayout()
	small.add("app:1.2.3", small.image("amd64", ocispec.MediaTypeImageLayerZstd, zstdOf(aLayer), aLayer))
	config := encode(ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(aLayer), digest.FromBytes(aLayer)}}})
	legacy := packtest.Tar(
		packtest.File{Header: tar.Header{Name: "aa/", Typeflag: tar.TypeDir, Mode: 0o755}}, packtest.Plain("aa/json", []byte("{}")), packtest.Plain("aa/VERSION", []byte("1.0")), packtest.Plain("aa/layer.tar", aLayer),
		packtest.File{Header: tar.Header{Name: "bb/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../aa/layer.tar"}},
		packtest.Plain(packtest.SHA256(config)+".json", config),
		packtest.Plain("manifest.json", encode([]dockerEntry{{Config: packtest.SHA256(config) + ".json", RepoTags: []string{"app:1.2.3"}, Layers: []string{"aa/layer.tar", "bb/layer.tar"}}})),
	)
	for name, tc := range map[string]struct {
		bytes []byte
		repo  string
	}{
		"OCI with manifest.json":       {plain, "docker.io/library/app"},
		"in gzip":                      {packtest.Gzip(plain), "docker.io/library/app"},
		"in zstd":                      {zstdOf(plain), "docker.io/library/app"},
		"OCI alone":                    {named.bytes(), "registry.example/app"},
		"indexes in one another":       {nested.bytes(), "docker.io/library/app"},
		"a layer in zstd":              {small.bytes(), "docker.io/library/app"},
		"older ones of Docker":         {legacy, "docker.io/library/app"},
		"older ones of Docker in gzip": {packtest.Gzip(legacy), "docker.io/library/app"},
	} {
		t.Run(name, func(t *testing.T) {
			format, err := Sniff(tc.bytes[:min(len(tc.bytes), SniffSize)])
			require.NoError(t, err)
			require.Equal(t, ImageFormat, format)
			im, err := readImage(tc.bytes)
			require.NoError(t, err)
			require.Equal(t, tc.repo, im.Name.Name())
			require.Equal(t, "1.2.3", im.Name.Tag())
			require.Equal(t, "amd64", im.Platform.Architecture)
			require.Positive(t, im.Unpacked)
			if strings.HasPrefix(name, "older") {
				require.Len(t, im.Layers, 2)
				require.Equal(t, im.Layers[0], im.Layers[1])
				require.Equal(t, dockerManifest, im.Manifest.MediaType)
				im.Layers = im.Layers[:1] // the blob comes once
			}
			blobsOf(t, im, tc.bytes)
		})
	}
}

func TestThisDevicesPlatformIsChosen(t *testing.T) {
	layer := packtest.Gzip(aLayer)
	l := newLayout()
	var all []ocispec.Descriptor
	for _, arch := range []string{"arm64", "amd64", "s390x"} {
		all = append(all, l.image(arch, ocispec.MediaTypeImageLayerGzip, layer, aLayer))
	}
	l.add("app:1", l.sub(all...))
	im, err := readImage(l.bytes())
	require.NoError(t, err)
	require.Equal(t, all[1].Digest, im.Manifest.Digest)

	_, err = ReadImage(bytes.NewReader(l.bytes()), 1<<20, platforms.Only(platforms.MustParse("linux/riscv64")), roomy)
	reason, _ := ReasonOf(err)
	require.Equal(t, Foreign, reason)
	require.ErrorContains(t, err, "linux/amd64, linux/arm64, linux/s390x")

	// What an archive of one platform has left out is only a name.
	delete(l.files, "blobs/sha256/"+all[0].Digest.Encoded())
	_, err = readImage(l.bytes())
	require.NoError(t, err)
	_, err = ReadImage(bytes.NewReader(l.bytes()), 1<<20, platforms.Only(platforms.MustParse("linux/arm64")), roomy)
	require.ErrorContains(t, err, "not in it")

	// An index that lies about a platform is found out by the configuration.
	liar := newLayout()
	d := liar.image("arm64", ocispec.MediaTypeImageLayerGzip, layer, aLayer)
	d.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	liar.add("app:1", d)
	_, err = readImage(liar.bytes())
	reason, _ = ReasonOf(err)
	require.Equal(t, Foreign, reason)

	// Attestations and other things that go with an image are none.
	more := newLayout()
	attested := more.blob(ocispec.MediaTypeImageManifest, encode(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, Config: more.blob("application/vnd.example", []byte("{}"))}))
	attested.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	more.add("app:1", more.sub(more.image("amd64", ocispec.MediaTypeImageLayerGzip, layer, aLayer), attested, more.blob(ocispec.MediaTypeImageManifest, encode(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, Config: more.blob("application/vnd.other", []byte("{ }"))}))))
	_, err = readImage(more.bytes())
	require.NoError(t, err)
}

func TestArchivesThatAreNotSound(t *testing.T) {
	layer := packtest.Gzip(aLayer)
	with := func(edit func(l *layout)) []byte {
		l := newLayout()
		l.add("app:1", l.image("amd64", ocispec.MediaTypeImageLayerGzip, layer, aLayer))
		edit(l)
		return l.bytes()
	}
	one := func(kind string, layer, diff []byte) []byte {
		l := newLayout()
		l.add("app:1", l.image("amd64", kind, layer, diff))
		return l.bytes()
	}
	sound := with(func(*layout) {})
	and := func(f packtest.File) []byte { return append(packtest.Tar(f)[:1024], sound...) }
	zeros := packtest.Tar(packtest.Plain("zeros", make([]byte, 80<<20)))
	squeezed := packtest.Gzip(zeros)
	nested := newLayout()
	deep := nested.image("amd64", ocispec.MediaTypeImageLayerGzip, layer, aLayer)
	for range 6 {
		deep = nested.sub(deep)
	}
	nested.add("app:1", deep)
	wide := newLayout()
	var many []ocispec.Descriptor
	for range 1001 {
		many = append(many, wide.image("amd64", ocispec.MediaTypeImageLayerGzip, layer, aLayer))
	}
	wide.add("app:1", wide.sub(many...))
	config := encode(ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	legacy := func(e ...dockerEntry) []byte {
		return packtest.Tar(packtest.Plain("config.json", config), packtest.Plain("layer.tar", aLayer), packtest.Plain("manifest.json", encode(append([]dockerEntry{}, e...))))
	}
	for name, tc := range map[string]struct {
		bytes []byte
		says  string
	}{
		"no tar":                       {packtest.Gzip([]byte("text")), "archive"},
		"cut off":                      {sound[:len(sound)/2], "archive"},
		"cut off in gzip":              {packtest.Gzip(sound)[:500], "archive"},
		"nothing in it":                {packtest.Tar(), "no image archive"},
		"no index":                     {packtest.Tar(packtest.Plain("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))), "index.json"},
		"an unknown layout":            {with(func(l *layout) { l.files["oci-layout"] = []byte(`{"imageLayoutVersion":"9"}`) }), "version"},
		"an index that is no JSON":     {packtest.Tar(packtest.Plain("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)), packtest.Plain("index.json", []byte("{"))), "index.json"},
		"no name":                      {with(func(l *layout) { l.index.Manifests[0].Annotations = nil }), "no name"},
		"a tag alone":                  {with(func(l *layout) { l.index.Manifests[0].Annotations[ocispec.AnnotationRefName] = "1.2" }), "no name"},
		"a name that is none":          {with(func(l *layout) { l.index.Manifests[0].Annotations[ocispec.AnnotationRefName] = "UPPER/Case:1" }), "name"},
		"two names":                    {with(func(l *layout) { l.add("other:1", l.index.Manifests[0]) }), "docker.io/library/app:1, docker.io/library/other:1"},
		"no image":                     {with(func(l *layout) { l.index.Manifests = nil }), "no image"},
		"a blob is missing":            {with(func(l *layout) { delete(l.files, "blobs/sha256/"+packtest.SHA256(layer)) }), "not in it"},
		"a wrong digest":               {with(func(l *layout) { l.files["blobs/sha256/"+packtest.SHA256(layer)] = []byte("other") }), "wrong digest"},
		"a digest that nobody asks of": {with(func(l *layout) { l.files["blobs/sha256/"+strings.Repeat("a", 64)] = []byte("other") }), "wrong digest"},
		"a blob by another digest":     {with(func(l *layout) { l.files["blobs/sha512/"+strings.Repeat("a", 128)] = []byte("other") }), "another digest"},
		"a wrong size":                 {with(func(l *layout) { l.index.Manifests[0].Size++ }), "bytes"},
		"a wrong diff id":              {one(ocispec.MediaTypeImageLayerGzip, layer, []byte("other")), "uncompressed"},
		"a layer that is no tar":       {one(ocispec.MediaTypeImageLayerGzip, packtest.Gzip([]byte("text of no tar archive at all")), []byte("text of no tar archive at all")), "cannot be read"},
		"a layer that is cut off":      {one(ocispec.MediaTypeImageLayerGzip, layer[:len(layer)-10], aLayer), "cannot be read"},
		"a layer of another kind":      {one("application/vnd.oci.image.layer.v1.tar+encrypted", layer, aLayer), "cannot be unpacked"},
		"a layer that is elsewhere":    {one("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", layer, aLayer), "cannot be unpacked"},
		"a layer that is not gzip":     {one(ocispec.MediaTypeImageLayerGzip, aLayer, aLayer), "not compressed"},
		"a layer that is gzip":         {one(ocispec.MediaTypeImageLayer, layer, aLayer), "not compressed"},
		"a window of 64 MiB":           {one(ocispec.MediaTypeImageLayerZstd, zstdOf(zeros, zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false)), zeros), ""},
		"a bomb of a layer":            {one(ocispec.MediaTypeImageLayerGzip, squeezed, zeros), "unpacks to more"},
		"a bomb that nobody asks for":  {with(func(l *layout) { l.blob("", squeezed) }), "unpacks to more"},
		"a bomb of an archive":         {packtest.Gzip(and(packtest.Plain("zeros", make([]byte, 80<<20)))), "unpacks to more"},
		"indexes too deep":             {nested.bytes(), "deep"},
		"an index too wide":            {wide.bytes(), "entries"},
		"tar-slip":                     {and(packtest.Plain("../../etc/passwd", []byte("x"))), "leaves its folder"},
		"an absolute name":             {and(packtest.Plain("/etc/passwd", []byte("x"))), "absolute"},
		"a name twice":                 {and(packtest.Plain("index.json", []byte("{}"))), "twice"},
		"a name twice, with a dot":     {and(packtest.Plain("./index.json", []byte("{}"))), "twice"},
		"a link out of it":             {and(packtest.File{Header: tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}}), "link that leaves"},
		"a link up and out":            {and(packtest.File{Header: tar.Header{Name: "a/l", Typeflag: tar.TypeSymlink, Linkname: "../../x"}}), "link that leaves"},
		"a hard link":                  {and(packtest.File{Header: tar.Header{Name: "l", Typeflag: tar.TypeLink, Linkname: "index.json"}}), "no file"},
		"a device":                     {and(packtest.File{Header: tar.Header{Name: "sda", Typeflag: tar.TypeBlock}}), "no file"},
		"two images":                   {legacy(dockerEntry{}, dockerEntry{}), "2 images"},
		"no image of Docker's":         {legacy(), "no image archive"},
		"two tags":                     {legacy(dockerEntry{Config: "config.json", RepoTags: []string{"a:1", "a:2"}}), "2 names"},
		"no tag":                       {legacy(dockerEntry{Config: "config.json"}), "no name"},
		"no such configuration":        {legacy(dockerEntry{Config: "none.json", RepoTags: []string{"a:1"}}), "configuration"},
		"a configuration out of it":    {legacy(dockerEntry{Config: "../config.json", RepoTags: []string{"a:1"}}), "configuration"},
		"no such layer":                {legacy(dockerEntry{Config: "config.json", RepoTags: []string{"a:1"}, Layers: []string{"x/layer.tar"}}), "layer"},
		"layers without diff ids":      {legacy(dockerEntry{Config: "config.json", RepoTags: []string{"a:1"}, Layers: []string{"layer.tar"}}), "1 layers"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "a window of 64 MiB" { // refused for its window, whatever it unpacks to
				im, err := ReadImage(bytes.NewReader(tc.bytes), 1<<30, amd64, Limits{Unpacked: 1 << 30})
				require.Error(t, err, "%v", im)
				require.ErrorContains(t, err, "window")
				return
			}
			_, err := readImage(tc.bytes)
			reason, ok := ReasonOf(err)
			require.True(t, ok, "%v", err)
			require.Equal(t, Invalid, reason)
			require.ErrorContains(t, err, tc.says)
		})
	}
}

func TestHolesCountAsWhatTheyBecome(t *testing.T) {
	// A GNU sparse file of 8 GiB in a few hundred bytes, as a file of the archive, where there is no need of one, and in a layer.
	h := make([]byte, 1024)
	copy(h, "hole")
	copy(h[100:], "0000644\x00")
	copy(h[108:], "0000000\x000000000\x00")
	copy(h[124:], "00000001000\x00") // 512 bytes are in the archive
	copy(h[136:], "00000000000\x00")
	h[156] = 'S'
	copy(h[257:], "ustar  \x00")
	copy(h[386:], "00000000000\x00"+"00000001000\x00") // of the first region
	copy(h[483:], fmt.Sprintf("%011o\x00", int64(8<<30)))
	for i := range 8 {
		h[148+i] = ' '
	}
	sum := 0
	for _, c := range h[:512] {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	holes := append(h, make([]byte, 1024)...)
	files := tar.NewReader(bytes.NewReader(holes))
	header, err := files.Next()
	require.NoError(t, err)
	require.Equal(t, int64(8<<30), header.Size)

	_, err = readImage(holes)
	require.ErrorContains(t, err, "no file")
	l := newLayout()
	l.add("app:1", l.image("amd64", ocispec.MediaTypeImageLayerGzip, packtest.Gzip(holes), holes))
	_, err = readImage(l.bytes())
	require.ErrorContains(t, err, "unpacks to more")
}

func TestABrokenStreamMakesNoArchiveInvalid(t *testing.T) {
	b := written(t, demo("app:1", "amd64"))
	_, err := ReadImage(io.MultiReader(bytes.NewReader(b[:2000]), io.TeeReader(strings.NewReader("x"), failing{})), 1<<20, amd64, roomy)
	require.Error(t, err)
	_, ok := ReasonOf(err)
	require.False(t, ok, "%v", err)
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
