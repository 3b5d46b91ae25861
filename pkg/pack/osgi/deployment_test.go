package osgi

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/pack/packtest"
)

func readPackage(p packtest.DeploymentPackage) (*DeploymentPackage, error) {
	b := p.Bytes()
	return ReadDeploymentPackage(bytes.NewReader(b), int64(len(b)), plenty)
}

// opened is a bundle of a package.
func opened(t *testing.T, d *DeploymentPackage, i int) *Bundle {
	t.Helper()
	r, err := d.Open(i)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil || int64(len(text)) != d.Bundles[i].Size {
		t.Fatalf("%d bytes of %d, %v", len(text), d.Bundles[i].Size, err)
	}
	b, err := readBytes(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDeploymentPackageHasItsBundles(t *testing.T) {
	d, err := readPackage(packtest.DeploymentPackage{
		Headers:  map[string]string{"DeploymentPackage-SymbolicName": "heater", "DeploymentPackage-Version": "1.0.0.qualifier"},
		Bundles:  []packtest.Bundle{with("Bundle-SymbolicName", "b", "Bundle-Version", "1.0.0"), with("Bundle-SymbolicName", "a", "Bundle-Version", "2.0")},
		Sections: map[string]map[string]string{"OSGI-INF/l10n.properties": {}},
		Files:    map[string][]byte{"OSGI-INF/l10n.properties": []byte("x=y"), "META-INF/A.SF": nil, "bundles/": nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "heater" || d.Version.String() != "1.0.0.qualifier" || len(d.Bundles) != 2 || len(d.Resources) != 1 {
		t.Fatalf("%+v", d)
	}
	for i, name := range []string{"a", "b"} {
		b := opened(t, d, i)
		if e := d.Bundles[i]; b.SymbolicName != name || e.Check(b) != nil {
			t.Errorf("%+v: %+v", e, b)
		}
	}
	if err := d.Bundles[1].Check(opened(t, d, 0)); err == nil {
		t.Error("another bundle is taken for it")
	}
}

func TestBundleThatIsAnotherThanThePackageSays(t *testing.T) {
	b := with("Bundle-SymbolicName", "a")
	d, err := readPackage(packtest.DeploymentPackage{
		Bundles:  []packtest.Bundle{b},
		Sections: map[string]map[string]string{b.Path(): {"Bundle-SymbolicName": "a", "Bundle-Version": "1.0.1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = d.Bundles[0].Check(opened(t, d, 0))
	if _, ok := pack.ReasonOf(err); !ok {
		t.Errorf("%v", err)
	}
}

func TestDeploymentPackageIsRefused(t *testing.T) {
	a := with("Bundle-SymbolicName", "a")
	one := []packtest.Bundle{a}
	section := func(headers ...string) map[string]map[string]string {
		all := map[string]string{"Bundle-SymbolicName": "a", "Bundle-Version": "1.0.0"}
		for i := 0; i < len(headers); i += 2 {
			all[headers[i]] = headers[i+1]
		}
		return map[string]map[string]string{a.Path(): all}
	}
	for _, c := range []struct {
		p    packtest.DeploymentPackage
		says string
	}{
		{packtest.DeploymentPackage{Bundles: one, Headers: map[string]string{"DeploymentPackage-SymbolicName": ""}}, "DeploymentPackage-SymbolicName"},
		{packtest.DeploymentPackage{Bundles: one, Headers: map[string]string{"DeploymentPackage-SymbolicName": "a b"}}, "DeploymentPackage-SymbolicName"},
		{packtest.DeploymentPackage{Bundles: one, Headers: map[string]string{"DeploymentPackage-Version": ""}}, "DeploymentPackage-Version"},
		{packtest.DeploymentPackage{Bundles: one, Headers: map[string]string{"DeploymentPackage-Version": "1-2"}}, "DeploymentPackage-Version"},
		{packtest.DeploymentPackage{Bundles: one, Headers: map[string]string{"DeploymentPackage-FixPack": "[1,2)"}}, "DeploymentPackage-FixPack"},
		{packtest.DeploymentPackage{}, "no bundles"},
		{packtest.DeploymentPackage{Bundles: one, Files: map[string][]byte{"x": nil}}, "does not name"},
		{packtest.DeploymentPackage{Bundles: one, Sections: map[string]map[string]string{"x": {}}}, "does not have"},
		{packtest.DeploymentPackage{Bundles: one, Sections: map[string]map[string]string{"x": {"Resource-Processor": "p"}}, Files: map[string][]byte{"x": nil}}, "Resource-Processor"},
		{packtest.DeploymentPackage{Bundles: one, Sections: section("DeploymentPackage-Customizer", "true")}, "DeploymentPackage-Customizer"},
		{packtest.DeploymentPackage{Bundles: one, Sections: section("DeploymentPackage-Missing", "true")}, "DeploymentPackage-Missing"},
		{packtest.DeploymentPackage{Bundles: one, Sections: section("Bundle-Version", "x")}, "Bundle-Version"},
		{packtest.DeploymentPackage{Bundles: one, Sections: section("Bundle-SymbolicName", "a,b")}, "Bundle-SymbolicName"},
		{packtest.DeploymentPackage{Bundles: []packtest.Bundle{a, with("Bundle-SymbolicName", "a", "Bundle-Version", "2.0.0")}}, "twice"},
	} {
		_, err := readPackage(c.p)
		if reason, ok := pack.ReasonOf(err); !ok || reason != pack.Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.says, err)
		}
	}
}

func TestSniff(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want pack.Format
	}{
		{packtest.Bundle{}.Bytes(), BundleFormat},
		{with("Bundle-Version", "nonsense").Bytes(), BundleFormat},
		{packtest.DeploymentPackage{Bundles: []packtest.Bundle{{}}}.Bytes(), DeploymentFormat},
		{with("Bundle-SymbolicName", "").Bytes(), ""},
		{packtest.RAMP{}.Bytes(), ""},
		{[]byte("text"), ""},
	} {
		got, err := Sniff(bytes.NewReader(c.b), int64(len(c.b)), plenty)
		if _, ok := pack.ReasonOf(err); got != c.want || (err == nil) != (c.want != "") || err != nil && !ok {
			t.Errorf("%q: %q, %v", c.want, got, err)
		}
	}
}
