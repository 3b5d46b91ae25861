package osgi

import (
	"strconv"
	"strings"
)

const (
	importPackage  = "Import-Package"
	exportPackage  = "Export-Package"
	dynamicImport  = "DynamicImport-Package"
	requireBundle  = "Require-Bundle"
	versionKey     = "version"
	oldVersionKey  = "specification-version" // of OSGi before release 4
	bundleKey      = "bundle-symbolic-name"
	bundleRangeKey = "bundle-version"
)

// wiring reads the headers that say what a bundle needs and gives, and refuses what a framework
// refuses when it installs one (OSGi Core 3.13.1).
func (h *headerReader) wiring(b *Bundle) {
	b.Imports, b.Exports, b.DynamicImports = h.clauses(importPackage), h.clauses(exportPackage), h.clauses(dynamicImport)
	b.RequireBundle, b.RequireCapability, b.ProvideCapability = h.clauses(requireBundle), h.clauses(requireCapability), h.clauses(provideCapability)
	h.fail(importPackage, h.checkImports(b.Imports))
	h.fail(exportPackage, h.checkExports(b.Exports))
	for _, check := range []struct {
		header  string
		clauses []Clause
		check   func(Clause) error
	}{
		{importPackage, b.Imports, checkRanges},
		{dynamicImport, b.DynamicImports, checkRanges},
		{requireBundle, b.RequireBundle, checkRequireBundle},
		{requireCapability, b.RequireCapability, checkRequirement},
		{provideCapability, b.ProvideCapability, checkCapability},
	} {
		for _, c := range check.clauses {
			h.fail(check.header, check.check(c))
		}
	}
}

// checkAttributes refuses attributes that are there twice.
func checkAttributes(c Clause) error {
	seen := map[string]bool{}
	for _, a := range c.Attributes {
		if seen[a.Name] {
			return invalid("it has the attribute %s twice in one clause", quote(a.Name))
		}
		seen[a.Name] = true
	}
	return nil
}

func (h *headerReader) checkImports(all []Clause) error {
	seen := map[string]bool{}
	for _, c := range all {
		for _, name := range c.Paths {
			if err := checkPackage(name); err != nil {
				return err
			}
			if seen[name] && h.strict {
				return invalid("the package %s is imported twice", quote(name))
			}
			seen[name] = true
		}
		if err := h.checkVersions(c); err != nil {
			return err
		}
	}
	return nil
}

func (h *headerReader) checkExports(all []Clause) error {
	for _, c := range all {
		for _, name := range c.Paths {
			if err := checkPackage(name); err != nil {
				return err
			}
			if name == "java" || strings.HasPrefix(name, "java.") {
				return invalid("the package %s is Java's own, and no bundle exports it", quote(name))
			}
		}
		if err := h.checkVersions(c); err != nil {
			return err
		}
		for _, key := range []string{bundleKey, bundleRangeKey} {
			if _, ok := c.Attribute(key); ok && h.strict {
				return invalid("the attribute %s is set by frameworks alone", key)
			}
		}
		for _, key := range []string{versionKey, oldVersionKey} {
			if text, ok := c.Attribute(key); ok {
				if _, err := ParseVersion(text); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkVersions refuses the old name of a version beside the new one with another value.
func (h *headerReader) checkVersions(c Clause) error {
	now, isNow := c.Attribute(versionKey)
	old, isOld := c.Attribute(oldVersionKey)
	if h.strict && isNow && isOld && now != old {
		return invalid("%s and %s are not the same: %s and %s", versionKey, oldVersionKey, quote(now), quote(old))
	}
	return nil
}

// checkPackage refuses what is no name of a package. Words of other scripts are taken, as Java takes them.
func checkPackage(name string) error {
	if strings.ContainsAny(name, " \t/\\*\"()'<>") || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") {
		return invalid("%s is no name of a package", quote(name))
	}
	return nil
}

// checkRanges reads the ranges of an import.
func checkRanges(c Clause) error {
	for _, key := range []string{versionKey, oldVersionKey, bundleRangeKey} {
		if text, ok := c.Attribute(key); ok {
			if _, err := ParseRange(text); err != nil {
				return err
			}
		}
	}
	return checkResolution(c)
}

func checkResolution(c Clause) error {
	if text, ok := c.Directive("resolution"); ok && text != "mandatory" && text != "optional" {
		return invalid("the resolution %s is neither mandatory nor optional", quote(text))
	}
	return nil
}

func checkRequireBundle(c Clause) error {
	for _, name := range c.Paths {
		if err := checkSymbolicName(name); err != nil {
			return err
		}
	}
	return checkRanges(c)
}

// checkRequirement refuses a filter that cannot be read.
func checkRequirement(c Clause) error {
	for _, p := range c.Attributes {
		if err := checkTyped(p); err != nil {
			return err
		}
	}
	if text, ok := c.Directive("filter"); ok {
		if _, err := ParseFilter(text); err != nil {
			return err
		}
	}
	return checkResolution(c)
}

// reserved are the capabilities that frameworks alone give (OSGi Core, chapters 7 and 8).
var reserved = map[string]bool{
	"osgi.wiring.package": true, "osgi.wiring.bundle": true, "osgi.wiring.host": true,
	"osgi.identity": true, "osgi.native": true, "osgi.ee": true,
}

func checkCapability(c Clause) error {
	for _, namespace := range c.Paths {
		if reserved[namespace] {
			return invalid("the capability %s is given by frameworks alone", namespace)
		}
	}
	for _, p := range c.Attributes {
		if err := checkTyped(p); err != nil {
			return err
		}
	}
	return nil
}

// checkTyped holds an attribute to its type.
func checkTyped(p Parameter) error {
	var check func(string) error
	kind := strings.ReplaceAll(p.Type, " ", "")
	item, list := strings.CutPrefix(kind, "List<")
	if list {
		kind, list = strings.CutSuffix(item, ">")
		if !list {
			return invalid("its attribute %s has the type %s, which is none", quote(p.Name), quote(p.Type))
		}
	}
	switch kind {
	case "", "String", "List":
		return nil
	case "Version":
		check = func(text string) error { _, err := ParseVersion(text); return err }
	case "Long":
		check = func(text string) error { _, err := strconv.ParseInt(text, 10, 64); return err }
	case "Double":
		check = func(text string) error { _, err := strconv.ParseFloat(text, 64); return err }
	default:
		return invalid("its attribute %s has the type %s, which is none", quote(p.Name), quote(p.Type))
	}
	values := []string{p.Value}
	if list {
		values = splitList(p.Value)
	}
	if list && p.Value == "" {
		return nil
	}
	for _, text := range values {
		if check(strings.TrimSpace(text)) != nil {
			return invalid("its attribute %s is no %s: %s", quote(p.Name), kind, quote(text))
		}
	}
	return nil
}

// splitList cuts a list at its commas; those with a backslash before them belong to a value.
func splitList(text string) []string {
	var all []string
	var one strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			one.WriteByte(text[i])
		case c == ',':
			all = append(all, one.String())
			one.Reset()
		default:
			one.WriteByte(c)
		}
	}
	return append(all, one.String())
}
