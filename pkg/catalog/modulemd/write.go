package modulemd

import (
	"slices"
	"strconv"
)

// Edge is what edged says of a build of its own index, under xmd.
type Edge struct {
	// Digest of the image's manifest or of the package, "sha256:...".
	Digest    string `yaml:"digest"`
	MediaType string `yaml:"mediaType"`
	// Arch as Go and container images name it.
	Arch string `yaml:"arch"`
	// Reference is the image's name. A package has its own version in PackageVersion, and
	// in Image the name of the image that was made of it.
	Reference      string `yaml:"reference,omitempty"`
	PackageVersion string `yaml:"packageVersion,omitempty"`
	Image          string `yaml:"image,omitempty"`
	// Unread says why what is inside is not known; empty: it is.
	Unread string `yaml:"unread,omitempty"`
	// Components are, by name, the artifacts made of each.
	Components map[string][]string `yaml:"components,omitempty"`
}

// Made is what edged describes.
type Made struct {
	Name, Stream, Context, Arch string
	Version                     uint64
	Summary, Description        string
	// Requires are what it needs to run, by name.
	Requires map[string]string
	Edge     Edge
}

// Write is the document of a build, of version 2.
func Write(m *Made) (string, error) {
	type component struct {
		Rationale string `yaml:"rationale"`
	}
	type body struct {
		Name         string                           `yaml:"name"`
		Stream       string                           `yaml:"stream"`
		Version      uint64                           `yaml:"version"`
		Context      string                           `yaml:"context"`
		Arch         string                           `yaml:"arch,omitempty"`
		Summary      string                           `yaml:"summary"`
		Description  string                           `yaml:"description"`
		License      map[string][]string              `yaml:"license"`
		XMD          map[string]*Edge                 `yaml:"xmd"`
		Dependencies []map[string]map[string][]string `yaml:"dependencies,omitempty"`
		Components   map[string]map[string]component  `yaml:"components,omitempty"`
		Artifacts    map[string][]string              `yaml:"artifacts,omitempty"`
	}
	b := body{
		Name: m.Name, Stream: m.Stream, Version: m.Version, Context: m.Context, Arch: m.Arch, Summary: m.Summary, Description: m.Description,
		// The format asks for the licence of the description itself.
		License: map[string][]string{"module": {"unknown"}},
		XMD:     map[string]*Edge{"edge": &m.Edge},
	}
	if len(m.Requires) > 0 {
		requires := map[string][]string{}
		for name, stream := range m.Requires {
			requires[name] = []string{}
			if stream != "" {
				requires[name] = []string{stream}
			}
		}
		b.Dependencies = []map[string]map[string][]string{{"requires": requires}}
	}
	if len(m.Edge.Components) > 0 {
		components, artifacts := map[string]component{}, []string{}
		for name, made := range m.Edge.Components {
			components[name] = component{Rationale: "Packages made of it: " + strconv.Itoa(len(made))}
			artifacts = append(artifacts, made...)
		}
		slices.Sort(artifacts)
		b.Components = map[string]map[string]component{"rpms": components}
		b.Artifacts = map[string][]string{"rpms": artifacts}
	}
	return marshal(struct {
		Document string `yaml:"document"`
		Version  int    `yaml:"version"`
		Data     body   `yaml:"data"`
	}{"modulemd", 2, b})
}
