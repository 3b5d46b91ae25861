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

// Bounds of what is read: the memory that YAML takes goes by its values, and one may
// be a byte.
const (
	maxText   = 1 << 20
	maxValues = 100_000
)

// ErrTooLarge is a text that is not read, for its size.
var ErrTooLarge = fmt.Errorf("it is too large to be read: %w", errdefs.ErrInvalidArgument)

// Parse reads the first modulemd of a text that may hold several documents. Others,
// as defaults and translations are, are passed over. Errors: errdefs.NotFound when there
// is none, as in a text that is something else, and ErrTooLarge.
func Parse(text string) (*Document, error) {
	if !strings.Contains(text, "modulemd") {
		return nil, errNone
	}
	if len(text) > maxText || values(text) > maxValues {
		return nil, ErrTooLarge
	}
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		var top struct {
			Document string    `yaml:"document"`
			Version  yaml.Node `yaml:"version"`
			Data     yaml.Node `yaml:"data"`
		}
		err := d.Decode(&top)
		var shape *yaml.TypeError
		switch {
		case errors.As(err, &shape):
			continue // a document of another kind
		case errors.Is(err, io.EOF):
			return nil, errNone
		case err != nil:
			return nil, fmt.Errorf("%w: %v", errNone, err) //nolint:errorlint // YAML's own has no class
		case top.Document != "modulemd":
			continue
		}
		switch top.Version.Value {
		case "1":
			return read(1, &top.Data)
		case "2":
			return read(2, &top.Data)
		}
		return nil, fmt.Errorf("%w: its version is %q", errNone, top.Version.Value)
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

// lines is a list of YAML values that are single; others in it are passed over.
type lines []string

func (l *lines) UnmarshalYAML(n *yaml.Node) error {
	for _, item := range n.Content {
		if item.Kind == yaml.ScalarNode {
			*l = append(*l, item.Value)
		}
	}
	return nil
}

// data is what both versions have; a value of another shape than it should be is passed over.
type data struct {
	Name, Stream, Version, Context, Arch yaml.Node
	Artifacts                            struct {
		RPMs lines `yaml:"rpms"`
	} `yaml:"artifacts"`
	Dependencies yaml.Node `yaml:"dependencies"`
	XMD          struct {
		Edge *Edge `yaml:"edge"`
	} `yaml:"xmd"`
}

func read(version int, n *yaml.Node) (*Document, error) {
	var d data
	var shape *yaml.TypeError
	if err := n.Decode(&d); err != nil && !errors.As(err, &shape) {
		return nil, fmt.Errorf("%w: %v", errNone, err) //nolint:errorlint // as above
	}
	doc := &Document{
		Version: version, Name: d.Name.Value, Stream: d.Stream.Value, ModuleVersion: d.Version.Value, Context: d.Context.Value, Arch: d.Arch.Value,
		Artifacts: d.Artifacts.RPMs, Edge: d.XMD.Edge,
	}
	if version == 1 {
		var deps map[string]map[string]yaml.Node
		_ = d.Dependencies.Decode(&deps) // as far as it is what it should be
		doc.Requires, doc.BuildRequires = single(deps["requires"]), single(deps["buildrequires"])
		return doc, nil
	}
	var deps []map[string]map[string]lines
	_ = d.Dependencies.Decode(&deps)
	for _, alternative := range deps {
		doc.Requires = append(doc.Requires, several(alternative["requires"]))
		doc.BuildRequires = append(doc.BuildRequires, several(alternative["buildrequires"]))
	}
	return doc, nil
}

// single gives version 1, which has one stream for each name, the form of version 2.
func single(deps map[string]yaml.Node) []map[string][]string {
	if len(deps) == 0 {
		return nil
	}
	set := map[string][]string{}
	for name, stream := range deps {
		set[name] = []string{stream.Value}
	}
	return []map[string][]string{set}
}

func several(deps map[string]lines) map[string][]string {
	set := map[string][]string{}
	for name, streams := range deps {
		set[name] = streams
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
