package osgi

import (
	"errors"
	"io"

	"github.com/edged/edged/pkg/pack"
)

// Kind is what a bundle is, in the words of the bundles API.
type Kind string

// The kinds.
const (
	// Module bundles have the header Jahia-Module-Type.
	Module Kind = "MODULE"
	// PlainBundle is a bundle that is neither of the others.
	PlainBundle Kind = "BUNDLE"
	// Fragment bundles have the header Fragment-Host: they belong to another, and are not started.
	Fragment Kind = "FRAGMENT"
)

// Bundle is what a sound bundle says of itself.
type Bundle struct {
	// GroupID is Jahia-GroupId; empty for none. It is a segment of the bundle's key, as the next is.
	GroupID string
	// SymbolicName is without parameters.
	SymbolicName string
	// Version is Bundle-Version or, without one, Implementation-Version.
	Version Version
	// ImplementationVersion is the text of the header; empty for none.
	ImplementationVersion     string
	Name, Vendor, Description string
	Kind                      Kind
	// ManifestVersion is 1 or 2. Bundles of 1 are from before OSGi 4.
	ManifestVersion int
	Singleton       bool
	// Lazy is true of a bundle that is activated when one of its classes is needed.
	Lazy bool
	// FragmentHost is the symbolic name of the host; empty for none. HostVersions is nil for any.
	FragmentHost string
	HostVersions *Range
	// Depends is Jahia-Depends, in its order.
	Depends []Depend
	// RequiredVersion is Jahia-Required-Version; empty for none.
	RequiredVersion string
	// ExecutionEnvironments are those of Bundle-RequiredExecutionEnvironment: one of them has to be there.
	ExecutionEnvironments []string
	// JavaLevel is the Java that its classes need, 17 for example; 0 if it has none.
	JavaLevel int
	// Imports, Exports and the others are the clauses of Import-Package, Export-Package, DynamicImport-Package,
	// Require-Bundle, Require-Capability, Provide-Capability and Bundle-NativeCode.
	Imports, Exports, DynamicImports, RequireBundle, RequireCapability, ProvideCapability, NativeCode []Clause

	// needsTransform: see NeedsTransform.
	needsTransform bool
}

// ErrMissing is of a bundle that has no name or no version.
var ErrMissing = errors.New("it is missing")

// ReadBundle reads a jar of a size and refuses what is no bundle, or none that a framework would take. It reads the
// directory, the manifest and the heads of classes. Errors: *pack.Error (Invalid), else the reader's.
func ReadBundle(r io.ReaderAt, size int64, limits pack.Limits) (*Bundle, error) {
	j, err := openJar(r, size, limits)
	if err != nil {
		return nil, err
	}
	b, err := j.bundle()
	if err != nil {
		return nil, err
	}
	b.JavaLevel, err = j.javaLevel()
	if err != nil {
		return nil, err
	}
	return b, nil
}

// bundle is what the manifest says.
func (j *jar) bundle() (*Bundle, error) {
	b, err := readHeaders(&j.manifest.Main)
	if err != nil {
		return nil, err
	}
	b.needsTransform = j.file.Name != manifestFile || b.needsVersion(&j.manifest.Main) || b.needsCapabilities(&j.manifest.Main)
	return b, nil
}

// Key is the bundle's key in the bundles API: group/name/version, or name/version.
func (b *Bundle) Key() string {
	key := b.SymbolicName + "/" + b.Version.String()
	if b.GroupID != "" {
		key = b.GroupID + "/" + key
	}
	return key
}
