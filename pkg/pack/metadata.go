package pack

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/edged/edged/pkg/lazyregexp"
)

// Limits of module.json.
const (
	maxText         = 64 << 10
	maxModuleName   = 128
	maxList         = 256
	maxDependencies = 32
	maxDepth        = 32
)

// Metadata is module.json of a RAMP package as far as anything here asks for it. Texts
// are as they were given.
type Metadata struct {
	Name, File string
	// Version is the module's own number; SemanticVersion may be any text, and is made of
	// Version when there is none.
	Version         int64
	SemanticVersion string
	// Architecture is in the words of uname(1), OS as well; OSList has entries such as
	// "debian12" and is empty when the packer did not say.
	Architecture, OS string
	OSList           []string
	// SHA256 of the library, in hexadecimal.
	SHA256       string
	Capabilities []string
	// Dependencies in the order of their names.
	Dependencies []Dependency

	Author, CapabilityName, CommandLineArgs, CompatibleRedisVersion, ConfigCommand, Description string
	DisplayName, Email, Homepage, License, MinRedisVersion, MinRedisPackVersion                 string
	BigstoreVersion2Support                                                                     bool
	// CRDB is an object as it was given.
	CRDB json.RawMessage
}

// Dependency is an archive (tar, gzip) that a module needs beside its library. One
// without a URL is in the package.
type Dependency struct {
	Name, URL, SHA256 string
}

// text is a string, or a number by its own letters: packers write both.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
		return nil
	case b[0] == '"':
		return json.Unmarshal(b, (*string)(t))
	case b[0] == '-' || b[0] >= '0' && b[0] <= '9':
		*t = text(b)
		return nil
	}
	return errors.New("it is neither a text nor a number")
}

type moduleJSON struct {
	Name                    text            `json:"module_name"`
	File                    text            `json:"module_file"`
	Version                 text            `json:"version"`
	SemanticVersion         text            `json:"semantic_version"`
	Architecture            text            `json:"architecture"`
	OS                      text            `json:"os"`
	OSList                  []text          `json:"os_list"`
	OperatingSystems        []text          `json:"operating_systems"`
	SHA256                  text            `json:"sha256"`
	Capabilities            []text          `json:"capabilities"`
	Dependencies            json.RawMessage `json:"dependencies"`
	Author                  text            `json:"author"`
	CapabilityName          text            `json:"capability_name"`
	CommandLineArgs         text            `json:"command_line_args"`
	CompatibleRedisVersion  text            `json:"compatible_redis_version"`
	ConfigCommand           text            `json:"config_command"`
	Description             text            `json:"description"`
	DisplayName             text            `json:"display_name"`
	Email                   text            `json:"email"`
	Homepage                text            `json:"homepage"`
	License                 text            `json:"license"`
	MinRedisVersion         text            `json:"min_redis_version"`
	MinRedisPackVersion     text            `json:"min_redis_pack_version"`
	BigstoreVersion2Support bool            `json:"bigstore_version_2_support"`
	CRDB                    json.RawMessage `json:"crdb"`
}

var (
	sha256Form = lazyregexp.New(`^[0-9a-f]{64}$`)
	fileForm   = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}$`)
)

// readMetadata reads module.json and holds it to its form. What only a device can say,
// whether it fits here, is not looked at.
func readMetadata(r io.Reader) (*Metadata, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxDocument/4+1))
	if err != nil {
		return nil, invalid("cannot read its module.json: %w", err)
	}
	if len(b) > maxDocument/4 {
		return nil, invalid("its module.json is larger than %d bytes", maxDocument/4)
	}
	var j moduleJSON
	if err := decode(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), &j); err != nil {
		return nil, invalid("cannot read its module.json: %w", err)
	}
	m := &Metadata{
		Name: string(j.Name), File: string(j.File), SemanticVersion: string(j.SemanticVersion),
		Architecture: string(j.Architecture), OS: string(j.OS), OSList: texts(append(j.OSList, j.OperatingSystems...)),
		SHA256: strings.ToLower(string(j.SHA256)), Capabilities: texts(j.Capabilities),
		Author: string(j.Author), CapabilityName: string(j.CapabilityName), CommandLineArgs: string(j.CommandLineArgs),
		CompatibleRedisVersion: string(j.CompatibleRedisVersion), ConfigCommand: string(j.ConfigCommand),
		Description: string(j.Description), DisplayName: string(j.DisplayName), Email: string(j.Email), Homepage: string(j.Homepage),
		License: string(j.License), MinRedisVersion: string(j.MinRedisVersion), MinRedisPackVersion: string(j.MinRedisPackVersion),
		BigstoreVersion2Support: j.BigstoreVersion2Support, CRDB: j.CRDB,
	}
	if m.Version, err = parseVersion(string(j.Version)); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	m.Dependencies, err = readDependencies(j.Dependencies)
	return m, err
}

func (m *Metadata) check() error {
	for _, f := range []struct{ field, value string }{
		{"module_name", m.Name},
		{"semantic_version", m.SemanticVersion},
		{"architecture", m.Architecture},
		{"os", m.OS},
		{"author", m.Author},
		{"capability_name", m.CapabilityName},
		{"command_line_args", m.CommandLineArgs},
		{"compatible_redis_version", m.CompatibleRedisVersion},
		{"config_command", m.ConfigCommand},
		{"display_name", m.DisplayName},
		{"email", m.Email},
		{"homepage", m.Homepage},
		{"license", m.License},
		{"description", m.Description},
	} {
		if len(f.value) > maxText {
			return invalid("its %s is longer than %d bytes", f.field, maxText)
		}
		// A description may have several lines; nothing else here may.
		if f.field != "description" && strings.ContainsFunc(f.value, unicode.IsControl) {
			return invalid("its %s has control characters", f.field)
		}
	}
	if len(m.Capabilities) > maxList || len(m.OSList) > maxList {
		return invalid("its module.json has a list of more than %d entries", maxList)
	}
	for _, list := range [][]string{m.Capabilities, m.OSList} {
		if slices.ContainsFunc(list, func(s string) bool { return len(s) > maxModuleName || strings.ContainsFunc(s, unicode.IsControl) }) {
			return invalid("its module.json has a list with an entry that is no name")
		}
	}
	switch {
	case m.Name == "":
		return invalid("its module_name is missing")
	case len(m.Name) > maxModuleName || strings.Contains(m.Name, "/") || strings.Trim(m.Name, ".") == "" || strings.TrimSpace(m.Name) != m.Name:
		return invalid("its module_name %q is no name of 1 to %d bytes without a slash", m.Name, maxModuleName)
	case m.File == "":
		return invalid("its module_file is missing")
	case !fileForm().MatchString(m.File):
		return invalid("its module_file %q is not the plain name of a file", m.File)
	case m.SHA256 != "" && !sha256Form().MatchString(m.SHA256):
		return invalid("its sha256 is no SHA-256 in hexadecimal")
	case m.Architecture == "":
		return invalid("its architecture is missing")
	}
	for _, v := range []struct{ field, value string }{{"min_redis_version", m.MinRedisVersion}, {"min_redis_pack_version", m.MinRedisPackVersion}} {
		if _, ok := CompareVersions(v.value, "0"); v.value != "" && !ok {
			return invalid("its %s %q is no version such as 7.2", v.field, v.value)
		}
	}
	if m.SemanticVersion == "" {
		m.SemanticVersion = SemanticVersion(m.Version)
	}
	if len(m.CRDB) == 0 || m.CRDB[0] != '{' {
		m.CRDB = json.RawMessage("{}")
	}
	// What is kept as it is given is read again inside of other documents.
	if len(m.CRDB) > maxText || nesting(m.CRDB) > maxDepth {
		return invalid("its crdb is longer than %d bytes, or nested deeper than %d times", maxText, maxDepth)
	}
	_, err := Arguments(m.CommandLineArgs)
	return err
}

// nesting is how deep a document goes.
func nesting(text []byte) int {
	tokens := json.NewDecoder(bytes.NewReader(text))
	depth, deepest := 0, 0
	for {
		t, err := tokens.Token()
		if err != nil {
			return deepest
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// readDependencies reads {"name": {"url": ..., "sha256": ...}}, or a list whose entries
// have their name in them.
func readDependencies(raw json.RawMessage) ([]Dependency, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	type entry struct {
		Name   text `json:"name"`
		URL    text `json:"url"`
		SHA256 text `json:"sha256"`
	}
	var all []entry
	if raw[0] == '[' {
		if err := json.Unmarshal(raw, &all); err != nil {
			return nil, fault(Dependencies, "cannot read its dependencies: %w", err)
		}
	} else {
		var byName map[string]entry
		if err := json.Unmarshal(raw, &byName); err != nil {
			return nil, fault(Dependencies, "cannot read its dependencies: %w", err)
		}
		for name, e := range byName {
			e.Name = text(name)
			all = append(all, e)
		}
	}
	if len(all) > maxDependencies {
		return nil, fault(Dependencies, "it has %d dependencies, %d at most are taken", len(all), maxDependencies)
	}
	var deps []Dependency
	for _, e := range all {
		d := Dependency{string(e.Name), string(e.URL), strings.ToLower(string(e.SHA256))}
		switch {
		case !fileForm().MatchString(d.Name):
			return nil, fault(Dependencies, "the dependency %q has no plain name", d.Name)
		case !sha256Form().MatchString(d.SHA256):
			return nil, fault(Dependencies, "the dependency %s has no SHA-256 in hexadecimal", d.Name)
		case len(d.URL) > 4096 || strings.ContainsFunc(d.URL, unicode.IsControl):
			return nil, fault(Dependencies, "the dependency %s has a URL that is none", d.Name)
		}
		deps = append(deps, d)
	}
	slices.SortFunc(deps, func(a, b Dependency) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(deps); i++ {
		if deps[i].Name == deps[i-1].Name {
			return nil, fault(Dependencies, "the dependency %s is there twice", deps[i].Name)
		}
	}
	return deps, nil
}

func texts(in []text) []string {
	out := make([]string, 0, len(in))
	for _, t := range in {
		out = append(out, string(t))
	}
	return out
}
