package bundle

import (
	"strings"

	"github.com/edged/edged/pkg/pack/osgi"
)

// Key names a bundle: group/name/version, or name/version for one without a group.
type Key struct {
	Group   string `json:"group,omitempty"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

// String is the key's text.
func (k Key) String() string {
	if k.Group == "" {
		return k.Name + "/" + k.Version
	}
	return k.Group + "/" + k.Name + "/" + k.Version
}

// locationPrefix is what the locations of bundles that came through edged begin with.
const locationPrefix = "dx:"

// Location is what the framework knows the bundle by.
func (k Key) Location() string { return locationPrefix + k.String() }

// unique is what no two bundles share: frameworks do not look at groups.
func (k Key) unique() [2]string { return [2]string{k.Name, k.Version} }

// ParseKey reads a key as it stands in a path. The version gets the form in which frameworks
// have it: "2.0" is "2.0.0". False when there is no name or no version.
func ParseKey(text string) (Key, bool) {
	slash := strings.LastIndexByte(text, '/')
	if slash < 0 {
		return Key{}, false
	}
	k := Key{Version: normalize(text[slash+1:])}
	k.Group, k.Name = splitBucket(text[:slash])
	return k, k.Name != "" && k.Version != ""
}

// splitBucket splits what is before the version at its first slash.
func splitBucket(text string) (group, name string) {
	if group, name, ok := strings.Cut(text, "/"); ok {
		return group, name
	}
	return "", text
}

func normalize(version string) string {
	if v, err := osgi.ParseVersion(version); err == nil {
		return v.String()
	}
	return version // of no bundle
}

// every stands for everything in a selector.
const every = "*"

// Selector chooses bundles by group and name; "*" in one of them is every one, and so is no
// group.
type Selector struct{ Group, Name string }

// ParseSelector reads what stands before "/*" in a path: a name, or a group and a name.
func ParseSelector(text string) Selector {
	group, name := splitBucket(text)
	return Selector{group, name}
}

// All is the selector of every bundle.
var All = Selector{every, every}

func (s Selector) has(k Key) bool {
	return (s.Group == "" || s.Group == every || s.Group == k.Group) && (s.Name == every || s.Name == k.Name)
}
