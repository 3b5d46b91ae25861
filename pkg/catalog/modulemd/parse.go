// Package modulemd reads and writes the description of a build: Fedora's modulemd, a YAML
// document, in its versions 1 and 2.
//
// The catalog keeps a client's text as it came and never refuses it; what is read of it
// here is only compared with the row.
package modulemd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"go.yaml.in/yaml/v3"
)

// Document is what a modulemd says of its build. What it does not say is empty: a
// packager leaves to the build system what that knows better.
type Document struct {
	// Version of the format: 1 or 2.
	Version int
	// The build's, as they are written: 00000000 is a context, not a number.
	Name, Stream, ModuleVersion, Context, Arch string
	// Requires are what it needs to run, BuildRequires to be built: of each the streams, of
	// which one has to be there. Several sets are alternatives.
	Requires, BuildRequires []map[string][]string
	// Artifacts are the RPMs that it has, as NEVRA without an ending.
	Artifacts []string
	// Edge is what edged wrote into the documents that it made.
	Edge *Edge
}

// bounds are of what is read: the memory that YAML takes goes by its values, some two hundred
// bytes each, and one may be a byte.
type bounds struct{ text, values int }

var (
	// foreign is what the daemon takes from its clients.
	foreign = bounds{1 << 20, 100_000}
	// own has room for what edged writes itself, of an image with as many packages as it reads.
	own = bounds{16 << 20, 500_000}
)

// ErrTooLarge is a text that is not read, for its size.
var ErrTooLarge = fmt.Errorf("it is too large to be read: %w", errdefs.ErrInvalidArgument)

// Parse reads the first modulemd of a text that may hold several documents. Others,
// as defaults and translations are, are passed over. Errors: errdefs.NotFound when there
// is none, as in a text that is something else, and ErrTooLarge.
func Parse(text string) (*Document, error) { return parse(text, foreign) }

// ParseOwn is Parse for a program with memory to spare, which has to read whatever edged
// wrote, of however large an image.
func ParseOwn(text string) (*Document, error) { return parse(text, own) }

func parse(text string, most bounds) (*Document, error) {
	if !strings.Contains(text, "modulemd") {
		return nil, errNone
	}
	if len(text) > most.text || values(text) > most.values {
		return nil, ErrTooLarge
	}
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document yaml.Node
		switch err := d.Decode(&document); {
		case errors.Is(err, io.EOF):
			return nil, errNone
		case err != nil:
			return nil, fmt.Errorf("%w: %v", errNone, err) //nolint:errorlint // YAML's own has no class
		}
		left := 2 * most.values // without aliases there are no more
		top := members(document.Content[0], &left)
		if top.text("document") != "modulemd" {
			continue
		}
		switch version := top.text("version"); version {
		case "1":
			return read(1, top.of("data")), nil
		case "2":
			return read(2, top.of("data")), nil
		default:
			return nil, fmt.Errorf("%w: its version is %q", errNone, version)
		}
	}
}

var errNone = fmt.Errorf("there is no modulemd: %w", errdefs.ErrNotFound)

// values is no less than the number of YAML values in a text.
func values(text string) int {
	n := 0
	for _, separator := range []string{"\n", ",", ":", "[", "{", "- ", "&", "*"} {
		n += strings.Count(text, separator)
	}
	return n
}

// mapping is a YAML mapping. The library would make a map of it in a time that goes by the
// square of its size, with an error for each pair of keys that are the same: a few
// kilobytes of those take all memory there is.
type mapping struct {
	values map[string]*yaml.Node
	// left is how many values may still be looked at: aliases may name one of them any number
	// of times.
	left *int
}

// members are those of a mapping; of what is none there are none. Of a key that comes again the
// first is taken.
func members(n *yaml.Node, left *int) mapping {
	m := mapping{map[string]*yaml.Node{}, left}
	if n == nil || target(n).Kind != yaml.MappingNode {
		return m
	}
	n = target(n)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if *left--; *left < 0 {
			break
		}
		key := target(n.Content[i])
		if _, known := m.values[key.Value]; key.Kind == yaml.ScalarNode && !known {
			m.values[key.Value] = n.Content[i+1]
		}
	}
	return m
}

// target is what an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func (m mapping) of(key string) mapping { return members(m.values[key], m.left) }

func (m mapping) text(key string) string {
	if n := m.values[key]; n != nil {
		return scalar(n)
	}
	return ""
}

// list are the items of a sequence, as far as they may be looked at.
func (m mapping) list(key string) []*yaml.Node {
	n := m.values[key]
	if n == nil || target(n).Kind != yaml.SequenceNode {
		return nil
	}
	items := target(n).Content
	items = items[:min(len(items), max(*m.left, 0))]
	*m.left -= len(items)
	return items
}

// scalar is a single value as it is written; empty for what is none.
func scalar(n *yaml.Node) string {
	if n = target(n); n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return ""
	}
	return n.Value
}

// lines are the items of a sequence that are single values.
func lines(items []*yaml.Node) (all []string) {
	for _, n := range items {
		if target(n).Kind == yaml.ScalarNode {
			all = append(all, target(n).Value)
		}
	}
	return all
}

func read(version int, data mapping) *Document {
	doc := &Document{
		Version: version, Name: data.text("name"), Stream: data.text("stream"), ModuleVersion: data.text("version"), Context: data.text("context"), Arch: data.text("arch"),
		Artifacts: lines(data.of("artifacts").list("rpms")), Edge: edge(data.of("xmd")),
	}
	if version == 1 {
		deps := data.of("dependencies")
		doc.Requires, doc.BuildRequires = single(deps.of("requires")), single(deps.of("buildrequires"))
		return doc
	}
	for _, n := range data.list("dependencies") {
		alternative := members(n, data.left)
		doc.Requires = append(doc.Requires, several(alternative.of("requires")))
		doc.BuildRequires = append(doc.BuildRequires, several(alternative.of("buildrequires")))
	}
	return doc
}

// edge is nil in what is not edged's own.
func edge(xmd mapping) *Edge {
	if n := xmd.values["edge"]; n == nil || target(n).Kind != yaml.MappingNode {
		return nil
	}
	m := xmd.of("edge")
	e := &Edge{
		Digest: m.text("digest"), MediaType: m.text("mediaType"), Arch: m.text("arch"), Reference: m.text("reference"),
		PackageVersion: m.text("packageVersion"), Image: m.text("image"), Unread: m.text("unread"),
	}
	if components := m.of("components"); len(components.values) > 0 {
		e.Components = several(components)
	}
	return e
}

// single gives version 1, which has one stream for each name, the form of version 2.
func single(deps mapping) []map[string][]string {
	if len(deps.values) == 0 {
		return nil
	}
	set := map[string][]string{}
	for name := range deps.values {
		set[name] = []string{deps.text(name)}
	}
	return []map[string][]string{set}
}

func several(deps mapping) map[string][]string {
	set := map[string][]string{}
	for name := range deps.values {
		set[name] = lines(deps.list(name))
	}
	return set
}

func marshal(v any) (string, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("cannot write modulemd: %w", err)
	}
	return "---\n" + b.String() + "...\n", nil
}
