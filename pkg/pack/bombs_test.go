package pack

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/pack/packtest"
)

// allocated is how many bytes of memory fn asks for, those that it gives back among them.
func allocated(fn func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// emptyValues is a list of as many empty values as a description has room for.
func emptyValues(value string) string {
	return "[" + strings.Repeat(value+",", (maxDocument-200)/(len(value)+1)) + value + "]"
}

func TestADescriptionDoesNotGrowAHundredfoldInMemory(t *testing.T) {
	index := packtest.Tar(
		packtest.Plain("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)),
		packtest.Plain("index.json", []byte(`{"schemaVersion":2,"manifests":`+emptyValues("{}")+`}`)),
	)
	legacy := packtest.Tar(packtest.Plain("manifest.json", []byte(emptyValues("{}"))))
	manifest := newLayout()
	manifest.add("app:1", manifest.blob(ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"layers":`+emptyValues("{}")+`}`)))
	config := newLayout()
	config.add("app:1", config.blob(ocispec.MediaTypeImageManifest, encode(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, Config: config.blob(ocispec.MediaTypeImageConfig, []byte(`{"os":"linux","architecture":"amd64","history":`+emptyValues("{}")+`}`)),
	})))
	for name, b := range map[string][]byte{"an index": index, "a list of Docker's": legacy, "a manifest": manifest.bytes(), "a configuration": config.bytes()} {
		t.Run(name, func(t *testing.T) {
			var err error
			grown := allocated(func() { _, err = ReadImage(bytes.NewReader(b), int64(len(b)), amd64, Limits{Unpacked: 1 << 30}) })
			reason, _ := ReasonOf(err)
			require.Equal(t, Invalid, reason)
			require.Less(t, grown, int64(32<<20), "of %d bytes", len(b))
		})
	}
	large := newLayout()
	large.add("app:1", large.blob(ocispec.MediaTypeImageManifest, encode(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, Config: large.blob(ocispec.MediaTypeImageConfig, []byte("{"+strings.Repeat(" ", maxDocument)+"}")),
	})))
	_, err := ReadImage(bytes.NewReader(large.bytes()), 1<<20, amd64, Limits{Unpacked: 1 << 30})
	require.ErrorContains(t, err, "larger than")
	many := packtest.RAMP{Files: map[string][]byte{"module.json": bytes.Replace(packtest.RAMP{}.Metadata(), []byte(`"dependencies": {}`), []byte(`"dependencies": `+emptyValues("{}")[:1<<19]+`{}]`), 1)}}.Bytes()
	_, err = OpenRAMP(bytes.NewReader(many), int64(len(many)), Limits{Unpacked: 1 << 30})
	require.ErrorContains(t, err, "values")
}

// Go reads no JSON that is nested more than 10,000 times: what just passes is not read any more in the
// row of the package, without which edged does not start.
func TestWhatIsKeptAsItIsGivenIsNotDeep(t *testing.T) {
	with := func(deep int) []byte {
		crdb := `{"crdb":{"a":` + strings.Repeat("[", deep-1) + strings.Repeat("]", deep-1) + `},`
		return packtest.RAMP{Files: map[string][]byte{"module.json": bytes.Replace(packtest.RAMP{}.Metadata(), []byte("{"), []byte(crdb), 1)}}.Bytes()
	}
	for _, b := range [][]byte{with(9999), with(maxDepth + 1)} {
		_, err := OpenRAMP(bytes.NewReader(b), int64(len(b)), Limits{Unpacked: 1 << 20})
		reason, _ := ReasonOf(err)
		require.Equal(t, Invalid, reason)
		require.ErrorContains(t, err, "nested")
	}
	b := with(maxDepth)
	_, err := OpenRAMP(bytes.NewReader(b), int64(len(b)), Limits{Unpacked: 1 << 20})
	require.NoError(t, err)
}

func TestWhatAnIndexNamesOftenIsReadOnce(t *testing.T) {
	padding := map[string]string{"padding": strings.Repeat("x", 200_000)}
	l := newLayout()
	often := l.blob(ocispec.MediaTypeImageIndex, encode(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Annotations: padding}))
	config := l.blob(ocispec.MediaTypeImageConfig, encode(struct {
		ocispec.Platform
		Author string `json:"author"`
	}{ocispec.Platform{OS: "linux", Architecture: "s390x"}, padding["padding"]}))
	for i := range 400 {
		l.add("app:1", often)
		l.add("app:1", l.blob(ocispec.MediaTypeImageManifest, encode(ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, Config: config, Annotations: map[string]string{"n": fmt.Sprint(i)},
		})))
	}
	b := l.bytes()
	var err error
	grown := allocated(func() { _, err = ReadImage(bytes.NewReader(b), int64(len(b)), amd64, Limits{Unpacked: 1 << 30}) })
	reason, _ := ReasonOf(err)
	require.Equal(t, Foreign, reason, "%v", err)
	require.Less(t, grown, int64(40<<20))
}

func TestALayerCountsAsOftenAsItIsNamed(t *testing.T) {
	layer := packtest.Tar(packtest.Plain("data", make([]byte, 1<<20)))
	image := func(times int) []byte {
		l := newLayout()
		var m ocispec.Manifest
		d := l.image("amd64", ocispec.MediaTypeImageLayerGzip, packtest.Gzip(layer), layer)
		require.NoError(t, json.Unmarshal(l.files["blobs/sha256/"+d.Digest.Encoded()], &m))
		var config ocispec.Image
		require.NoError(t, json.Unmarshal(l.files["blobs/sha256/"+m.Config.Digest.Encoded()], &config))
		for range times - 1 {
			m.Layers = append(m.Layers, m.Layers[0])
			config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(layer))
		}
		m.Config = l.blob(ocispec.MediaTypeImageConfig, encode(config))
		l.add("app:1", l.blob(ocispec.MediaTypeImageManifest, encode(m)))
		return l.bytes()
	}
	im, err := ReadImage(bytes.NewReader(image(3)), 1<<20, amd64, Limits{Unpacked: 1 << 30})
	require.NoError(t, err)
	require.Equal(t, []int64{int64(len(layer)), int64(len(layer)), int64(len(layer))}, im.Unpacked)
	b := image(100)
	_, err = ReadImage(bytes.NewReader(b), int64(len(b)), amd64, Limits{Unpacked: 1 << 30})
	require.ErrorContains(t, err, "unpacks to more", "a hundred MiB of %d bytes", len(b))
}

// hugeZip is a large archive that is nothing but its end, which says that there are as many
// files as it has room for.
type hugeZip struct{ end []byte }

const hugeSize = 2 << 30

func newHugeZip(files uint64) hugeZip {
	var end []byte
	end = binary.LittleEndian.AppendUint32(end, 0x06064b50)
	end = append(end, make([]byte, 20)...)
	end = binary.LittleEndian.AppendUint64(end, files)
	end = binary.LittleEndian.AppendUint64(end, files)
	end = append(end, make([]byte, 16)...) // a directory of no bytes
	end = binary.LittleEndian.AppendUint32(end, 0x07064b50)
	end = binary.LittleEndian.AppendUint32(end, 0)
	end = binary.LittleEndian.AppendUint64(end, hugeSize-98)
	end = binary.LittleEndian.AppendUint32(end, 1)
	end = binary.LittleEndian.AppendUint32(end, 0x06054b50)
	end = append(end, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0)
	return hugeZip{end}
}

func (z hugeZip) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if begin := hugeSize - int64(len(z.end)); off >= begin {
		copy(p, z.end[off-begin:])
	} else if off+int64(len(p)) > begin {
		copy(p[begin-off:], z.end)
	}
	if off+int64(len(p)) > hugeSize {
		return int(hugeSize - off), io.EOF
	}
	return len(p), nil
}

func TestADirectoryOfManyFilesIsNotMadeRoomFor(t *testing.T) {
	var err error
	grown := allocated(func() { _, err = OpenRAMP(newHugeZip(50_000_000), hugeSize, Limits{Unpacked: 1 << 40}) })
	reason, _ := ReasonOf(err)
	require.Equal(t, Invalid, reason, "%v", err)
	require.Less(t, grown, int64(4<<20), "%v", err)
}
