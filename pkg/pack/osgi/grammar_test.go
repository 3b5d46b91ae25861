package osgi

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/edged/edged/pkg/pack"
)

func TestVersionGrammar(t *testing.T) {
	for text, want := range map[string]string{
		"2.0": "2.0.0", "1": "1.0.0", "1.2.3": "1.2.3", " 1.2.3.SNAPSHOT ": "1.2.3.SNAPSHOT", "1.2.3.a_b-C": "1.2.3.a_b-C",
		"0": "0.0.0", "01.02": "1.2.0", "2147483647": "2147483647.0.0",
		"": "", "1.0-SNAPSHOT": "", "1.0.0-SNAPSHOT": "", "1.": "", ".1": "", "1.2.3.": "", "1.2.3.a.b": "", "1.2.x": "", "-1": "", "+1": "",
		"2147483648": "", "1.2.3.ä": "", "1 .2": "", "[1,2)": "", "1.2.3." + strings.Repeat("a", 300): "",
	} {
		v, err := ParseVersion(text)
		if (err == nil) != (want != "") || err == nil && v.String() != want {
			t.Errorf("%q: %s, %v", text, v, err)
		}
	}
}

// TestVersionsAreOrdered: each before the next.
func TestVersionsAreOrdered(t *testing.T) {
	var last Version
	for i, text := range []string{"0.0.0", "0.0.0.A", "0.0.1", "0.9", "0.10", "1.0.0", "1.0.0.SNAPSHOT", "1.0.0.a", "1.0.0.b", "2", "10"} {
		v, err := ParseVersion(text)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && (last.Compare(v) >= 0 || v.Compare(last) <= 0) {
			t.Errorf("%s and %s", last, v)
		}
		last = v
	}
}

var versions = rapid.Custom(func(t *rapid.T) Version {
	n := rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(0, 1<<31-1))
	return Version{n.Draw(t, "major"), n.Draw(t, "minor"), n.Draw(t, "micro"), rapid.StringMatching(`|[A-Za-z0-9_-]{1,5}`).Draw(t, "qualifier")}
})

var ranges = rapid.Custom(func(t *rapid.T) Range {
	r := Range{Floor: versions.Draw(t, "floor")}
	if rapid.Bool().Draw(t, "bounded") {
		v := versions.Draw(t, "ceiling")
		r.FloorOpen, r.Ceiling, r.CeilingOpen = rapid.Bool().Draw(t, "open"), &v, rapid.Bool().Draw(t, "open end")
	}
	return r
})

func TestVersionsAndRangesAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w, u := versions.Draw(t, "v"), versions.Draw(t, "w"), versions.Draw(t, "u")
		if again, err := ParseVersion(v.String()); err != nil || again != v {
			t.Fatalf("%s: %s, %v", v, again, err)
		}
		if v.Compare(w) != -w.Compare(v) || (v.Compare(w) == 0) != (v == w) || v.Compare(w) <= 0 && w.Compare(u) <= 0 && v.Compare(u) > 0 {
			t.Fatalf("no order: %s, %s, %s", v, w, u)
		}
		r := ranges.Draw(t, "range")
		if again, err := ParseRange(r.String()); err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%s: %s, %v", r, again, err)
		}
	})
}

func TestRangeGrammar(t *testing.T) {
	for text, want := range map[string]string{
		"1.2": "1.2.0", "[1.4, 2.0)": "[1.4.0,2.0.0)", "(1,2]": "(1.0.0,2.0.0]", " [1,1] ": "[1.0.0,1.0.0]", "[2,1]": "[2.0.0,1.0.0]",
		"": "", "[1,2": "", "1,2)": "", "[1]": "", "[": "", "[]": "", "[,]": "", "[1,2,3]": "", "[1,2))": "", "[a,b]": "", "optional": "",
	} {
		r, err := ParseRange(text)
		if (err == nil) != (want != "") || err == nil && r.String() != want {
			t.Errorf("%q: %s, %v", text, r, err)
		}
	}
	r, _ := ParseRange("[1.4,2)")
	if got := r.Filter("moduleVersion"); got != "(moduleVersion>=1.4.0)(!(moduleVersion>=2.0.0))" {
		t.Error(got)
	}
}

// TestFilterOfARangeSaysWhatTheRangeSays of every version, and of none.
func TestFilterOfARangeSaysWhatTheRangeSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := ranges.Draw(t, "range")
		f, err := ParseFilter("(&" + r.Filter("v") + ")")
		if err != nil {
			t.Fatal(err)
		}
		tries := []Version{versions.Draw(t, "v"), r.Floor}
		if r.Ceiling != nil {
			tries = append(tries, *r.Ceiling)
		}
		for _, v := range tries {
			if f.Matches(map[string][]string{"v": {v.String()}}) != r.Includes(v) {
				t.Fatalf("%s in %s: %v by the range", v, r, r.Includes(v))
			}
		}
		if f.Matches(nil) {
			t.Fatalf("%s includes what has no version", r)
		}
	})
}

func TestFilterGrammar(t *testing.T) {
	for text, want := range map[string]bool{
		"(a=b)": true, "(a=B)": false, "( a =b)": true, "(a~=B)": true, "(a=*)": true, "(x=*)": false, "(&(a=b)(v>=1.9))": true, "(&(a=b)(v>=1.11))": false,
		"(|(a=c)(v<=2))": true, "(!(a=b))": false, "(!(!(a=b)))": true, "(t=o*t*e)": true, "(t=o*x*)": false, "(t=*)": true, `(s=\(\*\))`: true, "(m=2)": true, "(m=3)": false,
	} {
		f, err := ParseFilter(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := f.Matches(map[string][]string{"a": {"b"}, "v": {"1.10"}, "t": {"one two three"}, "s": {"(*)"}, "m": {"1", "2"}}); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for _, text := range []string{
		"", "a=b", "(a=b", "(a=b))", "()", "(&)", "(!(a=b)(c=d))", "(=b)", "(a)", "(a>b)", "(a<b)", "(a=(b)", "(a(=b)", "(a)=b)", `(a=b\`, "(a=b)(c=d)",
		strings.Repeat("(!", 100) + "(a=b)" + strings.Repeat(")", 100), "(a=" + strings.Repeat("b", maxFilter) + ")",
	} {
		if _, err := ParseFilter(text); err == nil {
			t.Errorf("%s is taken", quote(text))
		}
	}
}

func TestHeaderGrammar(t *testing.T) {
	for text, want := range map[string]string{
		`a`: "[a]", ` a , b `: "[a] [b]", `a;b;c=1`: "[a b c=1]", `a;v="1,2;3";u:="x,y"`: `[a v=1,2;3 u:=x,y]`, `a; f := "(x=\"y\\z\")"`: `[a f:=(x="y\z)]`,
		`a;l:List<Version>="1,2"`: "[a l:List<Version>=1,2]", `a;f:=(x=y)`: "[a f:=(x=y)]", `a;x="1";x="2"`: "[a x=1 x=2]", `a;x=""`: "[a x=]",
		`"a b";x=1`: "[a b x=1]", `a;x="1" ;y=2`: "[a x=1 y=2]", `a;x='1'`: "[a x='1']",
	} {
		all, err := ParseHeader(text)
		if want = strings.Replace(want, `"y\z)`, `"y\z")`, 1); err != nil || spell(all) != want {
			t.Errorf("%s: %s, %v", text, spell(all), err)
		}
	}
	for _, text := range []string{
		"", " ", ",", "a,", ",a", "a,,b", "a;", ";a", "a;x=1;b", "x=1", "x:=1", "a;x=", "a;x:=", "a;=1", "a;x=1;x:=1;x:=2", `a;x="1`, `a;x="1"2`, `a"b`, `a;x=1"2"`,
		`a;"x"=1`, "a;x y=1", "a;x:=1:=2;x:=3", "a:b", "a;x:List", "a;x::=1", "a\x00b", "a;x=\"\x00\"", strings.Repeat("a,", maxClauses) + "a", "a" + strings.Repeat(";a", maxParameters),
	} {
		if all, err := ParseHeader(text); err == nil {
			t.Errorf("%s is taken: %s", quote(text), spell(all))
		} else if _, ok := pack.ReasonOf(err); !ok {
			t.Errorf("%s: no reason: %v", quote(text), err)
		}
	}
}

// spell writes clauses for a comparison.
func spell(all []Clause) string {
	var clauses []string
	for _, c := range all {
		parts := append([]string{}, c.Paths...)
		for _, a := range c.Attributes {
			kind := a.Type
			if kind != "" {
				kind = ":" + kind
			}
			parts = append(parts, a.Name+kind+"="+a.Value)
		}
		for _, d := range c.Directives {
			parts = append(parts, d.Name+":="+d.Value)
		}
		clauses = append(clauses, fmt.Sprint(parts))
	}
	return strings.Join(clauses, " ")
}

func TestDependsGrammar(t *testing.T) {
	for text, want := range map[string]string{
		"a": "a", "a,b": "a b", "a=[1.4,2),b": "a[1.4.0,2.0.0) b", "a=1.4": "a1.4.0", "a=[1.4, 2.0);optional , b": "a[1.4.0,2.0.0)? b", "a=optional": "a?",
		"a;optional": "a?", "a=1;optional,b=optional,c": "a1.0.0? b? c", " Jahia Article ": "Jahia Article", "": "", ",a,,": "a", "optional": "optional",
	} {
		all, err := ParseDepends(text)
		var got []string
		for _, d := range all {
			item := d.Name
			if d.Versions != nil {
				item += d.Versions.String()
			}
			if d.Optional {
				item += "?"
			}
			got = append(got, item)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"a=optional;[1,2)", "a=", "=1", "a=[1,2", "a=x", "a=1;perhaps", "a=1;optional;optional", "a;b", "a)(b=c", `a"`, "a*", "a\tb", "a=optional;optional"} {
		if all, err := ParseDepends(text); err == nil {
			t.Errorf("%q is taken: %+v", text, all)
		}
	}
}
