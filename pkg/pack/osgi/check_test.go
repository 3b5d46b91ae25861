package osgi

import (
	"strings"
	"testing"

	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/pack/packtest"
)

// TestCheck: a bundle fits a Java from a level on; 0 is never.
func TestCheck(t *testing.T) {
	here := processors()[0]
	classes := packtest.Bundle{Files: map[string][]byte{"A.class": packtest.Class(17)}}
	stored := classes
	stored.Store = true
	const from = 99 // no level is enough
	for _, c := range []struct {
		name string
		b    packtest.Bundle
		from int
	}{
		{"nothing asked", with(), 1},
		{"classes", classes, 17},
		{"classes, stored", stored, 17},
		{"environment", with("Bundle-RequiredExecutionEnvironment", "JavaSE-11"), 11},
		{"one of two", with("Bundle-RequiredExecutionEnvironment", "JavaSE-21,J2SE-1.5"), 5},
		{"small ones", with("Bundle-RequiredExecutionEnvironment", "OSGi/Minimum-1.2"), 1},
		{"compact", with("Bundle-RequiredExecutionEnvironment", "JavaSE/compact1-1.8"), 8},
		{"unknown", with("Bundle-RequiredExecutionEnvironment", "CDC-1.0/Foundation-1.0, nonsense"), from},
		{"capability", with("Require-Capability", `osgi.ee;filter:="(&(osgi.ee=JavaSE)(version=1.8))"`), 8},
		{"capability from", with("Require-Capability", `osgi.ee;filter:="(&(osgi.ee=JavaSE)(version>=11)(!(version>=12)))"`), 11},
		{"capability unknown", with("Require-Capability", `osgi.ee;filter:="(osgi.ee=UNKNOWN)"`), from},
		{"capability that may be missing", with("Require-Capability", `osgi.ee;filter:="(osgi.ee=UNKNOWN)";resolution:=optional`), 1},
		{"capability for others", with("Require-Capability", `osgi.ee;filter:="(osgi.ee=UNKNOWN)";effective:=active`), 1},
		{"native", with("Bundle-NativeCode", "a.so;osname=win32;processor=x86,b.so;osname=MacOS;osname=Linux;processor="+here), 1},
		{"native for others", with("Bundle-NativeCode", "a.dll;osname=win32;processor="+here+",b.so;osname=linux;processor=sparc"), from},
		{"native that may be missing", with("Bundle-NativeCode", "a.dll;osname=win32,*"), 1},
		{"native anywhere", with("Bundle-NativeCode", "a.so"), 1},
	} {
		b := read(t, c.b)
		for _, level := range []int{1, 4, 5, 7, 8, 10, 11, 16, 17, 21, 25} {
			err := b.Check(level)
			if (err == nil) != (level >= c.from) {
				t.Errorf("%s on Java %d: %v", c.name, level, err)
			}
			if reason, ok := pack.ReasonOf(err); err != nil && (!ok || reason != pack.Foreign) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	if err := read(t, classes).Check(0); err != nil {
		t.Errorf("Java is not known: %v", err)
	}
	if err := read(t, with("Bundle-NativeCode", "a.dll;osname=win32")).Check(0); err == nil || !strings.Contains(err.Error(), "Bundle-NativeCode") {
		t.Errorf("Java is not known: %v", err)
	}
}
