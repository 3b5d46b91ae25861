package osgi

import (
	"runtime"
	"strconv"
	"strings"

	"github.com/edged/edged/pkg/pack"
)

// Check refuses a sound bundle that cannot run here: its classes or execution environment are above a level of Java,
// 17 for example, or it has native code and none for this machine. With level 0, for a Java that is not known, it checks the
// native code alone. Errors: *pack.Error (Foreign).
func (b *Bundle) Check(level int) error {
	if level > 0 {
		if b.JavaLevel > level {
			return pack.Refuse(pack.Foreign, "its classes need Java %d, and this device has Java %d", b.JavaLevel, level)
		}
		if err := b.checkEnvironment(level); err != nil {
			return err
		}
	}
	if !nativeFits(b.NativeCode) {
		return pack.Refuse(pack.Foreign, "%s: it has nothing for linux on %s", bundleNativeCode, processors()[0])
	}
	return nil
}

// environments are what a Java of a level offers in the namespace osgi.ee (OSGi Core 8.3): a list of versions a name.
func environments(level int) map[string][]string {
	java := []string{}
	for minor := 0; minor <= min(level, 8); minor++ {
		java = append(java, "1."+strconv.Itoa(minor))
	}
	for major := 9; major <= level; major++ {
		java = append(java, strconv.Itoa(major))
	}
	all := map[string][]string{"JavaSE": java, "OSGi/Minimum": {"1.0", "1.1", "1.2"}, "JRE": {"1.0", "1.1"}}
	if level >= 8 {
		for _, profile := range []string{"JavaSE/compact1", "JavaSE/compact2", "JavaSE/compact3"} {
			all[profile] = java[8:]
		}
	}
	return all
}

func (b *Bundle) checkEnvironment(level int) error {
	offered := environments(level)
	if len(b.ExecutionEnvironments) > 0 && !offers(offered, b.ExecutionEnvironments) {
		return pack.Refuse(pack.Foreign, "%s: this device has Java %d, and none of %s", executionEnvironment, level, quote(strings.Join(b.ExecutionEnvironments, ", ")))
	}
	for _, c := range b.RequireCapability {
		resolution, _ := c.Directive("resolution")
		effective, _ := c.Directive("effective")
		text, ok := c.Directive("filter")
		if c.Paths[0] != "osgi.ee" || resolution == "optional" || effective != "" && effective != "resolve" || !ok {
			continue
		}
		filter, err := ParseFilter(text)
		if err != nil {
			return err
		}
		fits := false
		for name, versions := range offered {
			// Each version is a capability: two of one filter have to be true of the same.
			for _, v := range versions {
				fits = fits || filter.Matches(map[string][]string{"osgi.ee": {name}, "version": {v}})
			}
		}
		if !fits {
			return pack.Refuse(pack.Foreign, "%s: this device has Java %d, which is not what %s asks for", requireCapability, level, quote(text))
		}
	}
	return nil
}

// offers says whether one of some environments, J2SE-1.5 or JavaSE-11 for example, is offered.
func offers(offered map[string][]string, names []string) bool {
	for _, name := range names {
		i := strings.LastIndexByte(name, '-')
		if i < 0 {
			continue
		}
		kind, text := name[:i], name[i+1:]
		if kind == "J2SE" {
			kind = "JavaSE"
		}
		asked, err := ParseVersion(text)
		if err != nil {
			continue
		}
		for _, text := range offered[kind] {
			if has, err := ParseVersion(text); err == nil && has == asked {
				return true
			}
		}
	}
	return false
}

// processors are the words for this machine in Bundle-NativeCode (OSGi Core 4.4.3, and what Java calls it).
func processors() []string {
	switch runtime.GOARCH {
	case "amd64":
		return []string{"x86-64", "amd64", "em64t", "x86_64"}
	case "arm64":
		return []string{"aarch64", "arm64"}
	case "arm":
		return []string{"arm_le", "arm", "armv7l"}
	}
	return []string{runtime.GOARCH}
}

// nativeFits says whether one of the clauses of native code is for this machine, or the last one says that it may be left out.
func nativeFits(all []Clause) bool {
	if len(all) == 0 {
		return true
	}
	for _, c := range all {
		if isOptional(c) || nativeHas(c, "osname", "linux") && nativeHas(c, "processor", processors()...) {
			return true
		}
	}
	return false
}

func isOptional(c Clause) bool { return len(c.Paths) == 1 && c.Paths[0] == "*" }

// nativeHas says whether an attribute, which may be there many times, has one of some words; without it any is meant.
func nativeHas(c Clause, name string, words ...string) bool {
	there := false
	for _, a := range c.Attributes {
		if !strings.EqualFold(a.Name, name) {
			continue
		}
		there = true
		for _, word := range words {
			if strings.EqualFold(a.Value, word) {
				return true
			}
		}
	}
	return !there
}

// checkNativeCode refuses what frameworks refuse when they install a bundle.
func checkNativeCode(all []Clause) error {
	for i, c := range all {
		if isOptional(c) && i < len(all)-1 {
			return invalid("the clause * is not the last one")
		}
		for _, a := range c.Attributes {
			var err error
			switch a.Name {
			case "selection-filter":
				_, err = ParseFilter(a.Value)
			case "osversion":
				_, err = ParseRange(a.Value)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
