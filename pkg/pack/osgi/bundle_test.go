package osgi

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/pack/packtest"
)

var plenty = pack.Limits{Unpacked: 1 << 30}

func readBytes(b []byte) (*Bundle, error) {
	return ReadBundle(bytes.NewReader(b), int64(len(b)), plenty)
}

func read(t *testing.T, b packtest.Bundle) *Bundle {
	t.Helper()
	got, err := readBytes(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// with is a bundle with these headers more: name, value, name, value.
func with(headers ...string) packtest.Bundle {
	b := packtest.Bundle{Headers: map[string]string{}}
	for i := 0; i < len(headers); i += 2 {
		b.Headers[headers[i]] = headers[i+1]
	}
	return b
}

func TestBundleSaysWhatItIs(t *testing.T) {
	b := with(
		"Bundle-SymbolicName", "article; singleton:=true", "Bundle-Version", "2.0", "Implementation-Version", "2.0-SNAPSHOT",
		"Jahia-GroupId", "org.example.modules", "Jahia-Module-Type", "module", "Bundle-Name", "Article", "Bundle-Vendor", "V", "Bundle-Description", "D",
		"Bundle-ActivationPolicy", "lazy", "Jahia-Depends", "news=[1.4,2),blog=optional", "Jahia-Required-Version", "8.1.2",
		"Bundle-RequiredExecutionEnvironment", "J2SE-1.5, JavaSE-1.8",
		"Import-Package", `a.b;c.d;version="[1,2)",e`, "Export-Package", `f;version="1.0";uses:="a.b,e"`,
		"Require-Bundle", `h;bundle-version="[1,2)";resolution:=optional`, "Require-Capability", `osgi.ee;filter:="(&(osgi.ee=JavaSE)(version=1.8))"`,
		"Provide-Capability", `osgi.service;objectClass:List<String>="a,b";n:Long=1`,
	)
	b.Files = map[string][]byte{
		"a/A.class": packtest.Class(8), "a/B.class": packtest.Class(11), "META-INF/versions/21/a/A.class": packtest.Class(21),
		"module-info.class": packtest.Class(9), "empty.class": nil, "text.class": []byte("no class at all"),
	}
	got := read(t, b)
	if got.Key() != "org.example.modules/article/2.0.0" || got.ImplementationVersion != "2.0-SNAPSHOT" || got.Kind != Module || !got.Singleton || !got.Lazy ||
		got.Name != "Article" || got.Vendor != "V" || got.Description != "D" || got.ManifestVersion != 2 || got.RequiredVersion != "8.1.2" || got.JavaLevel != 11 {
		t.Errorf("%+v", got)
	}
	if len(got.Depends) != 2 || got.Depends[0].Versions.String() != "[1.4.0,2.0.0)" || !got.Depends[1].Optional {
		t.Errorf("depends: %+v", got.Depends)
	}
	if len(got.Imports) != 2 || len(got.Imports[0].Paths) != 2 || len(got.Exports) != 1 || len(got.RequireBundle) != 1 || len(got.RequireCapability) != 1 ||
		got.ProvideCapability[0].Attributes[0] != (Parameter{"objectClass", "List<String>", "a,b"}) || len(got.ExecutionEnvironments) != 2 {
		t.Errorf("clauses: %+v", got)
	}
}

func TestBundleKinds(t *testing.T) {
	for _, c := range []struct {
		b    packtest.Bundle
		kind Kind
	}{
		{with(), PlainBundle},
		{with("Jahia-Module-Type", "system"), Module},
		{with("Fragment-Host", `h;bundle-version="[1,2)"`), Fragment},
		{with("Fragment-Host", "system.bundle;extension:=framework"), Fragment},
	} {
		if got := read(t, c.b); got.Kind != c.kind {
			t.Errorf("%v: %s", c.b.Headers, got.Kind)
		}
	}
}

func TestBundleVersionComesFromImplementationVersion(t *testing.T) {
	b := read(t, with("Bundle-Version", "", "Implementation-Version", "1.2"))
	if b.Version.String() != "1.2.0" || !b.NeedsTransform() {
		t.Errorf("%+v", b)
	}
	old := read(t, with("Bundle-ManifestVersion", ""))
	if old.ManifestVersion != 1 || old.NeedsTransform() {
		t.Errorf("%+v", old)
	}
}

// TestBundleIsRefused: each for one reason, which the error names.
func TestBundleIsRefused(t *testing.T) {
	for _, c := range []struct{ header, value, says string }{
		{"Bundle-SymbolicName", "", "Bundle-SymbolicName: it is missing"},
		{"Bundle-SymbolicName", "a b", "Bundle-SymbolicName"},
		{"Bundle-SymbolicName", "a,b", "Bundle-SymbolicName"},
		{"Bundle-SymbolicName", "a/b", "Bundle-SymbolicName"},
		{"Bundle-SymbolicName", ".a", "Bundle-SymbolicName"},
		{"Bundle-SymbolicName", "a;singleton:=true;singleton:=true", "twice"},
		{"Bundle-SymbolicName", strings.Repeat("a", 256), "Bundle-SymbolicName"},
		{"Bundle-Version", "", "Bundle-Version: it is missing"},
		{"Bundle-Version", "1.0-SNAPSHOT", `Bundle-Version: "1.0-SNAPSHOT" is no version`},
		{"Bundle-ManifestVersion", "3", "Bundle-ManifestVersion"},
		{"Bundle-ManifestVersion", "two", "Bundle-ManifestVersion"},
		{"Jahia-GroupId", "a/b", "Jahia-GroupId"},
		{"Jahia-GroupId", "a*", "Jahia-GroupId"},
		{"Jahia-GroupId", "a]", "Jahia-GroupId"},
		{"Jahia-GroupId", "a\tb", "Jahia-GroupId"},
		{"Jahia-GroupId", strings.Repeat("a", 256), "Jahia-GroupId"},
		{"Jahia-Depends", "a=optional;[1,2)", "Jahia-Depends"},
		{"Jahia-Required-Version", "latest", "Jahia-Required-Version"},
		{"Fragment-Host", "a,b", "Fragment-Host"},
		{"Fragment-Host", "a b", "Fragment-Host"},
		{"Fragment-Host", "a;bundle-version=x", "Fragment-Host"},
		{"Fragment-Host", "system.bundle;extension:=bootclasspath", "Fragment-Host"},
		{"Export-Package", "java.lang", "Export-Package"},
		{"Export-Package", "a;version=x", "Export-Package"},
		{"Export-Package", "a;bundle-version=1", "Export-Package"},
		{"Export-Package", "a;version=1;specification-version=2", "Export-Package"},
		{"Import-Package", "a,b,a", `Import-Package: the package "a" is imported twice`},
		{"Import-Package", "a;a", "Import-Package"},
		{"Import-Package", "a;version=[1", "Import-Package"},
		{"Import-Package", "a;x=1;x=2", "Import-Package"},
		{"Import-Package", "a;resolution:=perhaps", "Import-Package"},
		{"Import-Package", "a,", "Import-Package"},
		{"DynamicImport-Package", "a.*;version=x", "DynamicImport-Package"},
		{"Require-Bundle", "a b", "Require-Bundle"},
		{"Require-Bundle", `a;bundle-version="1-2"`, "Require-Bundle"},
		{"Require-Capability", `a;filter:="(a=b"`, "Require-Capability"},
		{"Require-Capability", `a;b:Number=1`, "Require-Capability"},
		{"Provide-Capability", "osgi.identity", "Provide-Capability"},
		{"Provide-Capability", "a;v:Version=x", "Provide-Capability"},
		{"Provide-Capability", `a;v:List<Long>="1,x"`, "Provide-Capability"},
		{"Bundle-NativeCode", "*,a.so", "Bundle-NativeCode"},
		{"Bundle-NativeCode", "a.so;selection-filter=x", "Bundle-NativeCode"},
		{"Bundle-NativeCode", "a.so;osversion=5.1-amd64", "Bundle-NativeCode"},
		{"Provide-Capability", "osgi.ee;osgi.ee=JavaSE", "Provide-Capability"},
	} {
		_, err := readBytes(with(c.header, c.value).Bytes())
		if reason, ok := pack.ReasonOf(err); !ok || reason != pack.Invalid || !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q: %v", c.header, c.value, err)
		}
	}
}

// TestOldManifestsAreTakenAsFrameworksDo: Bundle-ManifestVersion 1 had fewer rules.
func TestOldManifestsAreTakenAsFrameworksDo(t *testing.T) {
	read(t, with("Bundle-ManifestVersion", "1", "Import-Package", "a;version=1;specification-version=2,a"))
}

func entry(name string) *zip.FileHeader { return &zip.FileHeader{Name: name} }

func TestJarIsRefused(t *testing.T) {
	manifest := []byte("Manifest-Version: 1.0\nBundle-SymbolicName: x\nBundle-Version: 1\n")
	many := packtest.Bundle{Files: map[string][]byte{"a": bytes.Repeat([]byte{0}, 1<<20)}}.Bytes()
	encrypted := entry("a")
	encrypted.Flags = 1
	for name, c := range map[string]struct {
		b      []byte
		limits pack.Limits
		says   string
	}{
		"no zip":        {[]byte("no zip at all"), plenty, "zip"},
		"empty":         {nil, plenty, "zip"},
		"no manifest":   {packtest.Zip([]*zip.FileHeader{entry("a")}, nil), plenty, "META-INF/MANIFEST.MF"},
		"two manifests": {packtest.Zip([]*zip.FileHeader{entry("META-INF/MANIFEST.MF"), entry("meta-inf/manifest.mf")}, manifest, manifest), plenty, "two manifests"},
		"a file twice":  {packtest.Zip([]*zip.FileHeader{entry("META-INF/MANIFEST.MF"), entry("a"), entry("a")}, manifest, nil, nil), plenty, "twice"},
		"leaves":        {packtest.Zip([]*zip.FileHeader{entry("META-INF/MANIFEST.MF"), entry("a/../../b")}, manifest, nil), plenty, "leaves"},
		"absolute":      {packtest.Zip([]*zip.FileHeader{entry("META-INF/MANIFEST.MF"), entry("/b")}, manifest, nil), plenty, "absolute"},
		"NUL":           {packtest.Zip([]*zip.FileHeader{entry("META-INF/MANIFEST.MF"), entry("b\x00c")}, manifest, nil), plenty, "name"},
		"encrypted":     {packtest.Zip([]*zip.FileHeader{entry("META-INF/MANIFEST.MF"), encrypted}, manifest, nil), plenty, "encrypted"},
		"too large":     {many, pack.Limits{Unpacked: 1 << 19}, "unpacks"},
		"long manifest": {packtest.Bundle{Manifest: append(bytes.Clone(manifest), bytes.Repeat([]byte("A: b\n"), MaxManifest/5)...)}.Bytes(), plenty, "bytes"},
		"no headers":    {packtest.Bundle{Manifest: []byte("Manifest-Version: 1.0\n")}.Bytes(), plenty, "Bundle-SymbolicName"},
		"truncated":     {many[:len(many)/2], plenty, "zip"},
	} {
		_, err := ReadBundle(bytes.NewReader(c.b), int64(len(c.b)), c.limits)
		if _, ok := pack.ReasonOf(err); !ok || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDirectoryThatLies: sizes and places are what the directory says, until somebody looks.
func TestDirectoryThatLies(t *testing.T) {
	text := []byte("Bundle-SymbolicName: x\nBundle-Version: 1\n")
	sound := packtest.Zip([]*zip.FileHeader{entry(manifestFile), entry("a"), entry("b"), entry("c")}, text, make([]byte, 1000), nil, nil)
	const packedAt, unpackedAt, placeAt = 20, 24, 42 // in a record of the directory (APPNOTE.TXT, 4.3.12)
	record := func(b []byte, i int) []byte {
		for range i + 1 {
			b = b[bytes.Index(b[1:], []byte("PK\x01\x02"))+1:]
		}
		return b
	}
	for says, lie := range map[string]func(b []byte){
		"after the end": func(b []byte) {
			binary.LittleEndian.PutUint32(record(b, 2)[packedAt:], 5000)
		},
		"larger than the archive": func(b []byte) {
			for i := 2; i < 4; i++ {
				copy(record(b, i)[packedAt:], record(b, 1)[packedAt:unpackedAt+4])
				copy(record(b, i)[placeAt:placeAt+4], record(b, 1)[placeAt:])
			}
		},
		"unpacks": func(b []byte) {
			binary.LittleEndian.PutUint32(record(b, 1)[unpackedAt:], 1<<31)
		},
	} {
		if _, err := readBytes(sound); err != nil {
			t.Fatal(err)
		}
		b := bytes.Clone(sound)
		lie(b)
		_, err := readBytes(b)
		if _, ok := pack.ReasonOf(err); !ok || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestJarOfTooManyFiles(t *testing.T) {
	headers := make([]*zip.FileHeader, maxFiles+1)
	for i := range headers {
		headers[i] = entry(strconv.Itoa(i))
	}
	b := packtest.Zip(headers, make([][]byte, len(headers))...)
	_, err := readBytes(b)
	if _, ok := pack.ReasonOf(err); !ok || !strings.Contains(err.Error(), "files") {
		t.Errorf("%v", err)
	}
	headers = headers[:10_000]
	for _, h := range headers {
		h.Name += strings.Repeat("x", 1000)
	}
	b = packtest.Zip(headers, make([][]byte, len(headers))...)
	_, err = readBytes(b)
	if _, ok := pack.ReasonOf(err); !ok || !strings.Contains(err.Error(), "directory") {
		t.Errorf("%v", err)
	}
}

// TestDiskThatFailsMakesNoBundleInvalid, wherever it fails.
func TestDiskThatFailsMakesNoBundleInvalid(t *testing.T) {
	b := packtest.Bundle{Files: map[string][]byte{"A.class": packtest.Class(8)}}.Bytes()
	broken := errors.New("input/output error")
	for n := 0; ; n++ {
		left := n
		r := readerAt(func(p []byte, off int64) (int, error) {
			if left--; left < 0 {
				return 0, broken
			}
			return bytes.NewReader(b).ReadAt(p, off)
		})
		_, err := ReadBundle(r, int64(len(b)), plenty)
		if err == nil {
			return
		}
		if !errors.Is(err, broken) {
			t.Fatalf("after %d reads: %v", n, err)
		}
		if _, ok := pack.ReasonOf(err); ok {
			t.Fatalf("after %d reads the bundle is to blame: %v", n, err)
		}
	}
}

type readerAt func([]byte, int64) (int, error)

func (f readerAt) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }
