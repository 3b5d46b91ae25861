package osgi

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/edged/edged/pkg/lazyregexp"
)

// The capabilities by which Jahia's modules depend on each other and on Jahia.
const (
	moduleCapability = "com.jahia.modules.dependencies"
	moduleIdentifier = "moduleIdentifier"
	moduleVersion    = "moduleVersion"
	serverCapability = "com.jahia.server"
)

// neverRequired is a dependency that older modules name, and that nobody provides any more.
const neverRequired = "jaxrs-osgi-extender"

// Depend is a module that another depends on.
type Depend struct {
	// Name is the symbolic name or the Bundle-Name of it.
	Name string
	// Versions is nil for any.
	Versions *Range
	Optional bool
}

// ParseDepends reads Jahia-Depends: a list of name[=range][;optional]. Empty items are overlooked. Errors: *pack.Error
// (Invalid).
func ParseDepends(text string) ([]Depend, error) {
	var all []Depend
	for rest := text; rest != ""; {
		var item string
		item, rest = cutDepend(rest)
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		d, err := parseDepend(item)
		if err != nil {
			return nil, err
		}
		if all = append(all, d); len(all) > maxClauses {
			return nil, invalid("it has more than %d dependencies", maxClauses)
		}
	}
	return all, nil
}

// cutDepend takes an item up to the comma after it; one within a range is none.
func cutDepend(text string) (item, rest string) {
	open := false
	for i, c := range text {
		switch c {
		case '[', '(':
			open = true
		case ']', ')':
			open = false
		case ',':
			if !open {
				return text[:i], text[i+1:]
			}
		}
	}
	return text, ""
}

func parseDepend(item string) (Depend, error) {
	const optional = "optional"
	name, what, hasRange := strings.Cut(item, "=")
	if hasRange {
		item = what
	}
	parts := strings.Split(item, ";")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	d := Depend{Name: strings.TrimSpace(name)}
	if !hasRange {
		d.Name = parts[0]
	}
	switch {
	case len(parts) > 2 || len(parts) == 2 && parts[1] != optional:
		return d, invalid("%s is not of the form name=range;optional", quote(item))
	case hasRange && parts[0] == optional && len(parts) == 1:
		d.Optional, hasRange = true, false // "name=optional"
	default:
		d.Optional = len(parts) == 2
	}
	if d.Name == "" || strings.ContainsAny(d.Name, `"\()*[]<>~`) || strings.ContainsFunc(d.Name, unicode.IsControl) {
		return d, invalid("%s is no name of a module", quote(d.Name))
	}
	if hasRange {
		r, err := ParseRange(parts[0])
		if err != nil {
			return d, err
		}
		d.Versions = &r
	}
	return d, nil
}

// requirement is the clause of Require-Capability for a dependency.
func (d Depend) requirement() string {
	filter := "(" + moduleIdentifier + "=" + d.Name + ")"
	if d.Versions != nil {
		filter = "(&" + filter + d.Versions.Filter(moduleVersion) + ")"
	}
	clause := moduleCapability + `;filter:="` + filter + `"`
	if d.Optional {
		clause += `;resolution:="optional"`
	}
	return clause
}

var serverVersion = lazyregexp.New(`^([0-9]{1,9})(?:\.([0-9]{1,9}))?(?:[.-][A-Za-z0-9_.-]*)?$`)

// serverRequirement is the clause of Require-Capability for Jahia-Required-Version: from its minor release on, up
// to the next major one.
func serverRequirement(version string) (string, error) {
	m := serverVersion().FindStringSubmatch(version)
	if m == nil {
		return "", invalid("%s is no version", quote(version))
	}
	major, minor := serverRelease(m)
	return fmt.Sprintf(`%s;filter:="(&(version>=%d.%d)(!(version>=%d)))"`, serverCapability, major, minor, major+1), nil
}

func serverRelease(m []string) (major, minor int) {
	major, _ = strconv.Atoi(m[1]) // nine digits at most
	minor, _ = strconv.Atoi("0" + m[2])
	return major, minor
}

// Serves says whether a server of a version is what a Jahia-Required-Version asks for. A text
// that is no version serves nobody.
func Serves(has, required string) bool {
	m := serverVersion().FindStringSubmatch(required)
	v, err := ParseVersion(has)
	if m == nil || err != nil {
		return false
	}
	major, minor := serverRelease(m)
	return v.Compare(Version{Major: major, Minor: minor}) >= 0 && v.Major <= major
}

// needsCapabilities says whether a bundle depends on others in Jahia's way, and does not say so in OSGi's yet.
func (b *Bundle) needsCapabilities(main *Section) bool {
	return b.FragmentHost == "" && !strings.Contains(main.Get(provideCapability), moduleCapability) &&
		(b.Kind == Module || len(b.Depends) > 0 || b.RequiredVersion != "")
}

// needsVersion says whether a framework would take the bundle for 0.0.0.
func (b *Bundle) needsVersion(main *Section) bool {
	_, ok := main.Lookup(bundleVersion)
	return !ok && b.Version != Version{}
}

// addCapabilities writes what a bundle depends on, and is to others, in OSGi's way.
func (b *Bundle) addCapabilities(main *Section) error {
	var requires []string
	for _, d := range b.Depends {
		if d.Name != neverRequired {
			requires = append(requires, d.requirement())
		}
	}
	if b.RequiredVersion != "" {
		server, err := serverRequirement(b.RequiredVersion)
		if err != nil {
			return err
		}
		requires = append(requires, server)
	}
	var provides []string
	for _, name := range []string{b.SymbolicName, b.Name} {
		// A name that would end its quotes is nothing that another could depend on.
		if name != "" && !strings.ContainsAny(name, `"\`) {
			provides = append(provides, fmt.Sprintf(`%s;%s="%s";%s:Version=%s`, moduleCapability, moduleIdentifier, name, moduleVersion, b.Version))
		}
	}
	join(main, requireCapability, requires)
	join(main, provideCapability, provides)
	return nil
}

// join adds clauses to a header.
func join(main *Section, header string, clauses []string) {
	if before := main.Get(header); before != "" {
		clauses = append([]string{before}, clauses...)
	}
	if len(clauses) > 0 {
		main.Set(header, strings.Join(clauses, ","))
	}
}
