package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	importer "github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
)

var amd64 = ocispec.Platform{OS: "linux", Architecture: "amd64"}

func example() archive.Image {
	return archive.Image{
		Ref:      "edged.local/example:1.2",
		Platform: amd64,
		Config: ocispec.ImageConfig{
			User: "65532:65532", Env: []string{"A=b"}, Entrypoint: []string{"/bin/app"}, Cmd: []string{"run"}, WorkingDir: "/data",
			Labels: map[string]string{"k": "v"}, StopSignal: "SIGINT",
			Volumes: map[string]struct{}{"/data": {}}, ExposedPorts: map[string]struct{}{"80/tcp": {}},
		},
		Layers: []archive.Layer{
			{"/bin/app": {Body: []byte("one"), Mode: 0o755}},
			{"/bin/sh": {Link: "app"}, "/tmp": {Mode: fs.ModeDir | fs.ModeSticky | 0o777}},
		},
	}
}

func write(t *testing.T, imgs ...archive.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, archive.Write(&b, imgs...))
	return b.Bytes()
}

// imported is what containerd's own importer makes of an archive.
func imported(t *testing.T, b []byte) (content.Store, ocispec.Index) {
	t.Helper()
	store, err := local.NewStore(t.TempDir())
	require.NoError(t, err)
	desc, err := importer.ImportIndex(context.Background(), store, bytes.NewReader(b))
	require.NoError(t, err)
	var index ocispec.Index
	readBlob(t, store, desc, &index)
	return store, index
}

func readBlob(t *testing.T, store content.Store, desc ocispec.Descriptor, into any) {
	t.Helper()
	b, err := content.ReadBlob(context.Background(), store, desc)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, into))
}

// tarFiles is every regular entry of a tar by name.
func tarFiles(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		body, err := io.ReadAll(r)
		require.NoError(t, err)
		_, twice := files[h.Name]
		require.Falsef(t, twice, "%s is there twice", h.Name)
		files[h.Name] = body
	}
}

func TestContainerdReadsNameConfigAndLayers(t *testing.T) {
	img := example()
	store, index := imported(t, write(t, img))

	require.Len(t, index.Manifests, 1)
	desc := index.Manifests[0]
	require.Equal(t, "edged.local/example:1.2", desc.Annotations[images.AnnotationImageName])
	require.Equal(t, "1.2", desc.Annotations[ocispec.AnnotationRefName])
	require.Equal(t, &amd64, desc.Platform)

	var manifest ocispec.Manifest
	readBlob(t, store, desc, &manifest)
	var config ocispec.Image
	readBlob(t, store, manifest.Config, &config)
	require.Equal(t, img.Config, config.Config)
	require.Equal(t, amd64, config.Platform)
	require.Equal(t, time.Unix(0, 0).UTC(), *config.Created)
	require.Len(t, manifest.Layers, 2)
	for i, layer := range manifest.Layers {
		require.Equal(t, config.RootFS.DiffIDs[i], layer.Digest, "an uncompressed layer is its own diff id")
	}
}

func TestCompressedLayerKeepsTheDigestOfItsTar(t *testing.T) {
	plain, packed := example(), example()
	packed.Compress = true
	_, plainIndex := imported(t, write(t, plain))
	store, index := imported(t, write(t, packed))
	require.NotEqual(t, plainIndex.Manifests[0].Digest, index.Manifests[0].Digest)

	var manifest ocispec.Manifest
	readBlob(t, store, index.Manifests[0], &manifest)
	var config ocispec.Image
	readBlob(t, store, manifest.Config, &config)
	for i, layer := range manifest.Layers {
		require.Equal(t, ocispec.MediaTypeImageLayerGzip, layer.MediaType)
		b, err := content.ReadBlob(context.Background(), store, layer)
		require.NoError(t, err)
		zr, err := gzip.NewReader(bytes.NewReader(b))
		require.NoError(t, err)
		raw, err := io.ReadAll(zr)
		require.NoError(t, err)
		require.Equal(t, config.RootFS.DiffIDs[i], digest.FromBytes(raw))
	}
}

func TestDockersListPointsAtTheBlobs(t *testing.T) {
	img := example()
	img.Ref = "busybox"
	files := tarFiles(t, write(t, img))
	var list []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	require.NoError(t, json.Unmarshal(files["manifest.json"], &list))
	require.Len(t, list, 1)
	require.Equal(t, []string{"busybox:latest"}, list[0].RepoTags)
	require.Len(t, list[0].Layers, 2)
	for _, name := range append(list[0].Layers, list[0].Config) {
		require.Contains(t, files, name)
	}
}

func TestNamesAreFilledInAsDockerDoes(t *testing.T) {
	img := example()
	img.Ref = "busybox"
	_, index := imported(t, write(t, img))
	require.Equal(t, "docker.io/library/busybox:latest", index.Manifests[0].Annotations[images.AnnotationImageName])
}

func TestSameInputGivesSameBytes(t *testing.T) {
	first := write(t, example())
	for range 8 { // a map's order differs from one walk to the next
		require.Equal(t, first, write(t, example()))
	}
	later := example()
	later.Created = time.Unix(86_400, 500)
	require.NotEqual(t, first, write(t, later))
}

func TestSeveralImagesShareEqualLayers(t *testing.T) {
	other := example()
	other.Ref, other.Config.Cmd = "edged.local/other:1", []string{"other"}
	b := write(t, example(), other) // tarFiles refuses an entry that is there twice
	require.Len(t, tarFiles(t, b), 2+2+2+3)
	_, index := imported(t, b)
	require.Len(t, index.Manifests, 2)
}

func TestImageWithoutLayersIsWhole(t *testing.T) {
	store, index := imported(t, write(t, archive.Image{Ref: "a:1", Platform: amd64}))
	var manifest ocispec.Manifest
	readBlob(t, store, index.Manifests[0], &manifest)
	require.NotNil(t, manifest.Layers, "null instead of a list is refused by strict readers")
	require.Empty(t, manifest.Layers)
}

func TestUnusableImagesAreRefused(t *testing.T) {
	digested := "a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for name, tc := range map[string]struct {
		edit func(*archive.Image)
		says string
	}{
		"no name":           {func(i *archive.Image) { i.Ref = "" }, "cannot use reference"},
		"name in capitals":  {func(i *archive.Image) { i.Ref = "Example:1" }, "cannot use reference"},
		"name by digest":    {func(i *archive.Image) { i.Ref = digested }, "only the content can give"},
		"no platform":       {func(i *archive.Image) { i.Platform = ocispec.Platform{} }, "no platform"},
		"bad layer":         {func(i *archive.Image) { i.Layers[1] = archive.Layer{"x": {}} }, "layer 1"},
		"folder is a file":  {func(i *archive.Image) { i.Layers[0]["/bin"] = archive.File{} }, `"/bin" is not a folder`},
		"folder is a link":  {func(i *archive.Image) { i.Layers[0]["/bin"] = archive.File{Link: "usr/bin"} }, "is not a folder"},
		"path climbs":       {func(i *archive.Image) { i.Layers[0]["/bin/../app"] = archive.File{} }, "not a clean absolute path"},
		"path is the root":  {func(i *archive.Image) { i.Layers[0]["/"] = archive.File{Mode: fs.ModeDir} }, "not a clean absolute path"},
		"link with content": {func(i *archive.Image) { i.Layers[0]["/l"] = archive.File{Link: "x", Body: []byte("y")} }, "a link has neither"},
		"folder with bytes": {func(i *archive.Image) { i.Layers[0]["/d"] = archive.File{Mode: fs.ModeDir, Body: []byte("y")} }, "no content"},
		"a device":          {func(i *archive.Image) { i.Layers[0]["/n"] = archive.File{Mode: fs.ModeDevice} }, "no kind"},
	} {
		t.Run(name, func(t *testing.T) {
			img := example()
			tc.edit(&img)
			require.ErrorContains(t, archive.Write(io.Discard, img), tc.says)
		})
	}
	require.ErrorContains(t, archive.Write(io.Discard), "no image")
}

func TestFailingWriterIsReported(t *testing.T) {
	whole := write(t, example())
	for _, room := range []int{0, 600, len(whole) - 1} {
		err := archive.Write(&shortWriter{room: room}, example())
		require.ErrorIs(t, err, io.ErrShortWrite, "room for %d bytes", room)
	}
}

type shortWriter struct{ room int }

func (w *shortWriter) Write(b []byte) (int, error) {
	if w.room -= len(b); w.room < 0 {
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}
