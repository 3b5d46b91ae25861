package pack

import (
	"bytes"
	"io"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/pkg/pack/packtest"
)

// small keeps one input of a fuzz target to milliseconds.
var small = Limits{Unpacked: 1 << 20}

// FuzzRAMP: whatever is taken can be made a layer of, within the limits.
func FuzzRAMP(f *testing.F) {
	dep := dependency("d")
	f.Add(packtest.RAMP{}.Bytes())
	f.Add(packtest.RAMP{Store: true}.Bytes())
	f.Add(packtest.RAMP{Fields: map[string]any{"dependencies": map[string]any{"d": map[string]any{"sha256": packtest.SHA256(dep)}}}, Files: map[string][]byte{"deps/d.tgz": dep}, Store: true}.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := OpenRAMP(bytes.NewReader(b), int64(len(b)), small)
		if err != nil {
			if _, ok := ReasonOf(err); !ok {
				t.Fatalf("no reason: %v", err)
			}
			return
		}
		if p.Name == "" || p.Version < 1 || p.LibrarySize > small.Unpacked {
			t.Fatalf("taken: %+v", p.Metadata)
		}
		if err := p.WriteLayer(io.Discard, func(d Dependency) (io.ReadCloser, error) {
			if !p.Embedded(d.Name) {
				return io.NopCloser(bytes.NewReader(packtest.Gzip(packtest.Tar()))), nil
			}
			return p.Dependency(d.Name)
		}); err != nil {
			t.Fatalf("taken, and no layer: %v", err)
		}
	})
}

// FuzzImage: whatever is taken has all its layers, by their digests.
func FuzzImage(f *testing.F) {
	var b bytes.Buffer
	if err := archive.Write(&b, demo("app:1", "amd64")); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(packtest.Gzip(b.Bytes()))
	f.Add(zstdOf(b.Bytes()))
	l := newLayout()
	l.add("app:1", l.sub(l.image("amd64", ocispec.MediaTypeImageLayer, aLayer, aLayer)))
	f.Add(l.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		im, err := ReadImage(bytes.NewReader(b), int64(len(b)), amd64, small)
		if err != nil {
			if _, ok := ReasonOf(err); !ok {
				t.Fatalf("no reason: %v", err)
			}
			return
		}
		n := 0
		if err := im.Blobs(bytes.NewReader(b), func(d ocispec.Descriptor, r io.Reader) error {
			n++
			blob, err := io.ReadAll(r)
			if err == nil && int64(len(blob)) != d.Size {
				t.Fatalf("%s has %d bytes", d.Digest, len(blob))
			}
			return err
		}); err != nil || n > len(im.Layers) {
			t.Fatalf("taken, and its layers are not there: %v", err)
		}
	})
}

// FuzzMetadata: no text of a module.json does more than be refused.
func FuzzMetadata(f *testing.F) {
	f.Add(packtest.RAMP{}.Metadata())
	f.Add([]byte(`{"module_name":"a","module_file":"b.so","architecture":"x86_64","version":"1.0","dependencies":[{"name":"a","url":"x","sha256":"` + packtest.SHA256(nil) + `"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMetadata(bytes.NewReader(b))
		if err == nil && (m.Name == "" || m.File == "" || m.Version < 1 || m.SemanticVersion == "") {
			t.Fatalf("taken: %+v", m)
		}
	})
}

// FuzzELF: no beginning of a file does more than be refused.
func FuzzELF(f *testing.F) {
	f.Add(packtest.Library(64))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = checkELF(b) })
}

// FuzzSignature: nothing but the signature verifies.
func FuzzSignature(f *testing.F) {
	signer := packtest.NewSigner()
	message := []byte("message")
	key, err := ParseKey("k", signer.Public)
	if err != nil {
		f.Fatal(err)
	}
	sound := signer.Sign(message, "counter:1")
	f.Add(sound)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Verify(bytes.NewReader(message), b, []Key{key})
		if err == nil && got.Comment != "counter:1" {
			t.Fatalf("verified: %q", b)
		}
	})
}

// FuzzDependency: what is taken is walked again to its end.
func FuzzDependency(f *testing.F) {
	f.Add(dependency("d"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := Dependency{Name: "d", SHA256: packtest.SHA256(b)}
		if err := CheckDependency(d, bytes.NewReader(b), int64(len(b)), small); err != nil {
			if _, ok := ReasonOf(err); !ok {
				t.Fatalf("no reason: %v", err)
			}
		}
	})
}
