package osgi

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/edged/edged/pkg/pack"
)

func manifest(text string) (*Manifest, error) {
	return ReadManifest(strings.NewReader(text), MaxManifest)
}

func TestManifestIsReadWithAnyEndsOfLines(t *testing.T) {
	want := &Manifest{
		Main:     Section{"", []Attribute{{"Manifest-Version", "1.0"}, {"Long", "one two  three"}, {"Empty", ""}}},
		Sections: []Section{{"a/b.class", []Attribute{{"Digest", "x"}}}, {"c", nil}},
	}
	text := "Manifest-Version: 1.0\nLong: one\n  two\n \n   three\nEmpty: \n\n\nName: a/b\n .class\nDigest: x\n\nName: c\n"
	for _, end := range []string{"\n", "\r\n", "\r"} {
		for _, last := range []string{end, end + end, ""} {
			all := strings.TrimSuffix(strings.ReplaceAll(text, "\n", end), end) + last
			if got, err := manifest(all); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%q: %+v, %v", all, got, err)
			}
		}
	}
}

func TestManifestNames(t *testing.T) {
	m, err := manifest("bundle-VERSION:  1.0 \nA: 1\na: 1\n\nname: x\nB: 1\nC: 1\n\nName: y\n\nNAME: x\nb: 2\nD: 3\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Main.Get("Bundle-Version"); got != "1.0" {
		t.Errorf("case and spaces: %q", got)
	}
	if x := m.Section("x"); len(m.Sections) != 2 || x.Get("B") != "2" || x.Get("C") != "1" || x.Get("D") != "3" {
		t.Errorf("sections of the same file: %+v", m.Sections)
	}
}

// TestManifestFoldedInTheMiddleOfACharacter: old writers count bytes.
func TestManifestFoldedInTheMiddleOfACharacter(t *testing.T) {
	if m, err := manifest("A: \xc3\r\n \xa4\r\n"); err != nil || m.Main.Get("A") != "ä" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestManifestIsRefused(t *testing.T) {
	for _, text := range []string{
		"A\n", "A:b\n", ": b\n", " A: b\n", "A B: c\n", "Ä: b\n", strings.Repeat("A", 71) + ": b\n", "A: \xff\n", "A: b\x00\n", "A: 1\nA: 2\n", "A: 1\na: 2\n",
		"A: 1\n\nB: 2\n", "A: 1\n\nName: \n", "A: 1\n\nName: x\nName: y\n", "A: 1\n\n b\n", "\nA: 1\n", "\xef\xbb\xbfA: 1\n",
		"A: 1\n\nName: x\nB: 1\nb: 2\n", strings.Repeat("A: b\n", maxAttributes+1),
	} {
		if m, err := manifest(text); err == nil {
			t.Errorf("%s is taken: %+v", quote(text), m.Main)
		} else if _, ok := pack.ReasonOf(err); !ok {
			t.Errorf("%s: no reason: %v", quote(text), err)
		}
	}
}

func TestManifestIsFoldedBetweenCharacters(t *testing.T) {
	m := &Manifest{Main: Section{"", []Attribute{{"A", strings.Repeat("ä€😀", 100)}, {strings.Repeat("B", 70), "x"}}}}
	var b bytes.Buffer
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(b.String(), "\r\n") {
		if len(line) > foldAt || strings.ToValidUTF8(line, "?") != line {
			t.Errorf("%d bytes: %q", len(line), line)
		}
	}
	if !strings.HasPrefix(b.String(), "Manifest-Version: 1.0\r\n") {
		t.Errorf("%q", b.String())
	}
}

func TestManifestThatCannotBeWritten(t *testing.T) {
	for _, a := range []Attribute{{"A", "b\nC: d"}, {"A", "b\r"}, {"A", "\xff"}, {"A: b", "c"}, {"", "c"}, {strings.Repeat("A", 71), "c"}} {
		if err := (&Manifest{Main: Section{"", []Attribute{a}}}).Write(&bytes.Buffer{}); err == nil {
			t.Errorf("%+v is written", a)
		}
	}
}

func TestManifestIsReadAsItIsWritten(t *testing.T) {
	names := rapid.StringMatching(`[A-Za-z0-9_-]{1,70}`).Filter(func(s string) bool { return !strings.EqualFold(s, "name") && !strings.EqualFold(s, manifestVersion) })
	values := rapid.StringOf(rapid.RuneFrom([]rune(" :;aä€😀"))).Filter(func(s string) bool { return len(s) < 500 })
	attributes := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Attribute { return Attribute{names.Draw(t, "name"), values.Draw(t, "value")} }), 0, 5,
		func(a Attribute) string { return strings.ToLower(a.Name) })
	rapid.Check(t, func(t *rapid.T) {
		m := &Manifest{Main: Section{"", append([]Attribute{{manifestVersion, "1.0"}}, attributes.Draw(t, "main")...)}}
		for _, name := range rapid.SliceOfDistinct(rapid.StringMatching(`[a-zä/]{1,90}`), rapid.ID[string]).Draw(t, "sections") {
			m.Sections = append(m.Sections, Section{name, append([]Attribute(nil), attributes.Draw(t, "section")...)})
		}
		var b bytes.Buffer
		if err := m.Write(&b); err != nil {
			t.Fatal(err)
		}
		again, err := manifest(b.String())
		if err != nil || !reflect.DeepEqual(normal(again), normal(m)) {
			t.Fatalf("%q: %+v, %v", b.String(), again, err)
		}
	})
}

// normal is a manifest without the difference between nothing and an empty list.
func normal(m *Manifest) [][]Attribute {
	all := [][]Attribute{append([]Attribute{}, m.Main.Attributes...)}
	for _, s := range m.Sections {
		all = append(all, append([]Attribute{{"Name", s.Name}}, s.Attributes...))
	}
	return all
}
