package osgi

import (
	"archive/zip"
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/pack/packtest"
)

// small keeps one input of a fuzz target to milliseconds.
var small = pack.Limits{Unpacked: 1 << 20}

func mustHaveReason(t *testing.T, err error) {
	t.Helper()
	if _, ok := pack.ReasonOf(err); !ok {
		t.Fatalf("no reason: %v", err)
	}
}

// FuzzVersion: what is taken is written and read as the same, and a range says what its filter says.
func FuzzVersion(f *testing.F) {
	f.Add("1.2.3.SNAPSHOT", "1.0")
	f.Add("[1.2,2)", "1.9.9")
	f.Add("(1,2]", "2")
	f.Fuzz(func(t *testing.T, text, version string) {
		v, err := ParseVersion(version)
		if err != nil {
			mustHaveReason(t, err)
		} else if again, err := ParseVersion(v.String()); err != nil || again != v {
			t.Fatalf("%q: %s, %s, %v", version, v, again, err)
		}
		r, err := ParseRange(text)
		if err != nil {
			mustHaveReason(t, err)
			return
		}
		if again, err := ParseRange(r.String()); err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%q: %s, %s, %v", text, r, again, err)
		}
		filter, err := ParseFilter("(&" + r.Filter("v") + ")")
		if err != nil {
			t.Fatalf("%s: %v", r, err)
		}
		if filter.Matches(map[string][]string{"v": {v.String()}}) != r.Includes(v) {
			t.Fatalf("%s in %s: %v by the range", v, r, r.Includes(v))
		}
	})
}

// FuzzHeader: no text of a header, filter or list of dependencies does more than be refused, and clauses have what they must.
func FuzzHeader(f *testing.F) {
	f.Add(`a.b;c;version="[1,2)";uses:="x,y",z;l:List<Version>="1,2"`)
	f.Add(`(&(osgi.ee=JavaSE)(!(version>=1.8))(a=b*c))`)
	f.Add(`news=[1.4,2);optional,blog=optional`)
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseHeader(text)
		if err != nil {
			mustHaveReason(t, err)
		}
		for _, c := range all {
			if err == nil && len(c.Paths) == 0 {
				t.Fatalf("a clause without a path: %+v", all)
			}
		}
		if filter, err := ParseFilter(text); err == nil {
			filter.Matches(map[string][]string{"a": {"b"}, "version": {"1.7"}})
		} else {
			mustHaveReason(t, err)
		}
		depends, err := ParseDepends(text)
		if err != nil {
			mustHaveReason(t, err)
			return
		}
		for _, d := range depends {
			clauses, err := ParseHeader(d.requirement())
			if err != nil || len(clauses) != 1 || clauses[0].Paths[0] != moduleCapability {
				t.Fatalf("%+v: %s, %v", d, d.requirement(), err)
			}
			if err := checkRequirement(clauses[0]); err != nil {
				t.Fatalf("%+v: %s, %v", d, d.requirement(), err)
			}
		}
	})
}

// FuzzManifest: what is taken is written and read as the same; a bundle of it needs Transform once.
func FuzzManifest(f *testing.F) {
	f.Add([]byte("Manifest-Version: 1.0\r\nBundle-SymbolicName: x\r\nBundle-Version: 1.0\r\n\r\nName: a\r\nB: c\r\n d\r\n"))
	f.Add([]byte("Bundle-SymbolicName: x;singleton:=true\nImplementation-Version: 1.0\nJahia-Module-Type: m\nJahia-Depends: a=[1,2)\nJahia-Required-Version: 8.1\nBundle-Name: n\n"))
	f.Add([]byte("Bundle-ManifestVersion: 2\nBundle-SymbolicName: x\nBundle-Version: 1\nExport-Package: a;version=1\nImport-Package: b\nFragment-Host: h\nBundle-NativeCode: a.so;osname=linux,*\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ReadManifest(bytes.NewReader(text), 1<<16)
		if err != nil {
			mustHaveReason(t, err)
			return
		}
		var once, twice bytes.Buffer
		if err := m.Write(&once); err != nil {
			t.Fatal(err)
		}
		again, err := ReadManifest(bytes.NewReader(once.Bytes()), MaxManifest)
		if err != nil || len(again.Sections) != len(m.Sections) {
			t.Fatalf("%q: %+v, %v", once.Bytes(), again, err)
		}
		for _, a := range m.Main.Attributes {
			if again.Main.Get(a.Name) != strings.TrimSpace(a.Value) {
				t.Fatalf("%+v: %q", a, again.Main.Get(a.Name))
			}
		}
		if err := again.Write(&twice); err != nil || !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Fatalf("%q: %q, %v", once.Bytes(), twice.Bytes(), err)
		}
		tryBundle(t, packtest.Bundle{Manifest: text, Store: true}.Bytes())
	})
}

// tryBundle reads a bundle, and writes it as a framework has to see it when it is taken.
func tryBundle(t *testing.T, in []byte) {
	b, err := ReadBundle(bytes.NewReader(in), int64(len(in)), small)
	if err != nil {
		mustHaveReason(t, err)
		return
	}
	if checkSymbolicName(b.SymbolicName) != nil || strings.ContainsAny(b.GroupID, "/*[],\n") || b.Key() == "" {
		t.Fatalf("taken: %+v", b)
	}
	if err := b.Check(17); err != nil {
		mustHaveReason(t, err)
	}
	var out bytes.Buffer
	if err := Transform(bytes.NewReader(in), int64(len(in)), small, &out); err != nil {
		mustHaveReason(t, err)
		return
	}
	again, err := ReadBundle(bytes.NewReader(out.Bytes()), int64(out.Len()), pack.Limits{Unpacked: 1 << 30})
	if err != nil || again.Key() != b.Key() || again.NeedsTransform() {
		t.Fatalf("taken, and written it is %+v, %v", again, err)
	}
}

// FuzzJar: whatever archive is taken can be written again.
func FuzzJar(f *testing.F) {
	f.Add(packtest.Bundle{Files: map[string][]byte{"A.class": packtest.Class(17), "META-INF/A.SF": nil}}.Bytes())
	f.Add(packtest.Bundle{Store: true, Headers: map[string]string{"Jahia-Module-Type": "m"}, Files: map[string][]byte{"A.class": packtest.Class(8), "a/": nil}}.Bytes())
	f.Add(packtest.Zip([]*zip.FileHeader{{Name: "meta-inf/manifest.mf"}}, []byte("Bundle-SymbolicName: x\nBundle-Version: 1\n")))
	f.Fuzz(tryBundle)
}

// FuzzDeploymentPackage: whatever is taken has its bundles, of the size that it says.
func FuzzDeploymentPackage(f *testing.F) {
	f.Add(packtest.DeploymentPackage{Bundles: []packtest.Bundle{{}, with("Bundle-SymbolicName", "y")}}.Bytes())
	f.Add(packtest.DeploymentPackage{Bundles: []packtest.Bundle{{}}, Sections: map[string]map[string]string{"r": {}}, Files: map[string][]byte{"r": nil}}.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := Sniff(bytes.NewReader(in), int64(len(in)), small); err != nil {
			mustHaveReason(t, err)
		}
		d, err := ReadDeploymentPackage(bytes.NewReader(in), int64(len(in)), small)
		if err != nil {
			mustHaveReason(t, err)
			return
		}
		for i, e := range d.Bundles {
			r, err := d.Open(i)
			if err != nil {
				continue
			}
			text, err := io.ReadAll(r)
			r.Close()
			if err == nil && int64(len(text)) != e.Size || int64(len(text)) > small.Unpacked {
				t.Fatalf("%+v has %d bytes, %v", e, len(text), err)
			}
			if err == nil {
				tryBundle(t, text)
			}
		}
	})
}
