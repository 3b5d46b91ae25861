package osgi

import (
	"archive/zip"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/edged/edged/pkg/pack/packtest"
)

// transformed is a bundle after Transform, and its files.
func transformed(t *testing.T, b packtest.Bundle) (*Manifest, map[string]string, []string) {
	t.Helper()
	in := b.Bytes()
	var out, again bytes.Buffer
	for _, w := range []*bytes.Buffer{&out, &again} {
		if err := Transform(bytes.NewReader(in), int64(len(in)), plenty, w); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Error("twice the same bundle, and other bytes")
	}
	after, err := readBytes(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if after.NeedsTransform() {
		t.Error("it is written, and is still not as a framework has to see it")
	}
	z, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	files, names := map[string]string{}, []string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name], names = string(text), append(names, f.Name)
	}
	m, err := manifest(files[manifestFile])
	if err != nil {
		t.Fatal(err)
	}
	return m, files, names
}

func TestModuleBecomesWhatAFrameworkKnows(t *testing.T) {
	b := with(
		"Bundle-SymbolicName", "article;singleton:=true", "Bundle-Version", "2.0", "Bundle-Name", "Jahia Article", "Jahia-Module-Type", "module",
		"Jahia-Depends", "default,module=[1.4,2.0);optional,jaxrs-osgi-extender,other=1.4,last=optional", "Jahia-Required-Version", "8.1.2",
		"Require-Capability", `osgi.ee;filter:="(osgi.ee=JavaSE)"`, "Provide-Capability", "a;b=c",
	)
	b.Files = map[string][]byte{
		"z.txt": []byte("z"), "META-INF/A.SF": nil, "META-INF/a.rsa": nil, "META-INF/B.DSA": nil, "META-INF/C.EC": nil, "META-INF/SIG-X": nil,
		"META-INF/services/x.SF": []byte("stays"), "a/": nil, "a/b.txt": []byte("b"),
	}
	if !read(t, b).NeedsTransform() {
		t.Fatal("it needs none")
	}
	m, files, names := transformed(t, b)
	if got, want := m.Main.Get("Require-Capability"), `osgi.ee;filter:="(osgi.ee=JavaSE)"`+
		`,com.jahia.modules.dependencies;filter:="(moduleIdentifier=default)"`+
		`,com.jahia.modules.dependencies;filter:="(&(moduleIdentifier=module)(moduleVersion>=1.4.0)(!(moduleVersion>=2.0.0)))";resolution:="optional"`+
		`,com.jahia.modules.dependencies;filter:="(&(moduleIdentifier=other)(moduleVersion>=1.4.0))"`+
		`,com.jahia.modules.dependencies;filter:="(moduleIdentifier=last)";resolution:="optional"`+
		`,com.jahia.server;filter:="(&(version>=8.1)(!(version>=9)))"`; got != want {
		t.Errorf("Require-Capability:\n%s\n%s", got, want)
	}
	if got, want := m.Main.Get("Provide-Capability"), "a;b=c"+
		`,com.jahia.modules.dependencies;moduleIdentifier="article";moduleVersion:Version=2.0.0`+
		`,com.jahia.modules.dependencies;moduleIdentifier="Jahia Article";moduleVersion:Version=2.0.0`; got != want {
		t.Errorf("Provide-Capability:\n%s\n%s", got, want)
	}
	if m.Main.Get("Bundle-SymbolicName") != "article;singleton:=true" || m.Main.Get("Jahia-Depends") == "" {
		t.Errorf("what was there: %+v", m.Main)
	}
	if want := []string{manifestFile, "META-INF/services/x.SF", "a/", "a/b.txt", "z.txt"}; !slices.Equal(names, want) || files["a/b.txt"] != "b" {
		t.Errorf("files: %q", names)
	}
}

func TestBundlesThatAFrameworkSeesAsTheyAre(t *testing.T) {
	for _, b := range []packtest.Bundle{
		with(),
		with("Jahia-Module-Type", "module", "Provide-Capability", `com.jahia.modules.dependencies;moduleIdentifier="x"`),
		with("Jahia-Module-Type", "module", "Fragment-Host", "h", "Jahia-Depends", "a"),
	} {
		if read(t, b).NeedsTransform() {
			t.Errorf("%v", b.Headers)
		}
	}
}

func TestVersionAndManifestWhereFrameworksLook(t *testing.T) {
	m, _, _ := transformed(t, with("Bundle-Version", "", "Implementation-Version", "1.2"))
	if m.Main.Get("Bundle-Version") != "1.2.0" || m.Main.Get("Provide-Capability") != "" {
		t.Errorf("%+v", m.Main)
	}
	text := []byte("Bundle-SymbolicName: x\nBundle-Version: 1\n")
	in := packtest.Zip([]*zip.FileHeader{entry("a"), entry("meta-inf/Manifest.mf")}, nil, text)
	b, err := readBytes(in)
	if err != nil || !b.NeedsTransform() {
		t.Fatalf("%+v, %v", b, err)
	}
	var out bytes.Buffer
	if err := Transform(bytes.NewReader(in), int64(len(in)), plenty, &out); err != nil {
		t.Fatal(err)
	}
	if b, err = readBytes(out.Bytes()); err != nil || b.NeedsTransform() {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestNameThatEndsItsQuotesAddsNothing: no name adds a capability of its choice.
func TestNameThatEndsItsQuotesAddsNothing(t *testing.T) {
	m, _, _ := transformed(t, with("Jahia-Module-Type", "m", "Bundle-Name", `a",osgi.ee;x="b`))
	if got := m.Main.Get("Provide-Capability"); strings.Contains(got, "osgi.ee") || strings.Count(got, moduleCapability) != 1 {
		t.Error(got)
	}
}

// TestFoldersAsJavasJarWritesThem: compressed, which makes two bytes of none.
func TestFoldersAsJavasJarWritesThem(t *testing.T) {
	text := []byte("Bundle-SymbolicName: x\nImplementation-Version: 1\n")
	in := packtest.Zip([]*zip.FileHeader{{Name: "META-INF|", Method: zip.Deflate}, entry(manifestFile), {Name: "a|", Method: zip.Deflate}, entry("a/b")}, nil, text, nil, []byte("b"))
	in = bytes.ReplaceAll(bytes.ReplaceAll(in, []byte("META-INF|"), []byte("META-INF/")), []byte("a|"), []byte("a/"))
	var out bytes.Buffer
	if err := Transform(bytes.NewReader(in), int64(len(in)), plenty, &out); err != nil {
		t.Fatal(err)
	}
	if _, err := readBytes(out.Bytes()); err != nil {
		t.Fatal(err)
	}
	full := packtest.Zip([]*zip.FileHeader{entry(manifestFile), entry("a|")}, text, []byte("b"))
	if _, err := readBytes(bytes.ReplaceAll(full, []byte("a|"), []byte("a/"))); err == nil {
		t.Error("a folder that is a file, too, is taken")
	}
}
