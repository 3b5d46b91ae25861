package osgi

import (
	"archive/zip"
	"io"
	"strings"

	"github.com/edged/edged/pkg/pack"
)

// The headers of a deployment package (OSGi Compendium 114.3).
const (
	deploymentName    = "DeploymentPackage-SymbolicName"
	deploymentVersion = "DeploymentPackage-Version"
	deploymentFix     = "DeploymentPackage-FixPack"
	deploymentMissing = "DeploymentPackage-Missing"
	deploymentCustom  = "DeploymentPackage-Customizer"
	resourceProcessor = "Resource-Processor"
	maxBundles        = 1000
)

// DeploymentPackage is a jar of bundles, which Eclipse Kura calls .dp.
type DeploymentPackage struct {
	Name    string
	Version Version
	// Bundles are in the order of the archive, which is the one to install them in.
	Bundles []Entry
	// Resources are the files that are named and that nobody processes: texts, pictures.
	Resources []string
}

// Entry is a bundle in a package.
type Entry struct {
	// Path is its name in the package.
	Path string
	// SymbolicName and Version are what the package's manifest says of it: see Check.
	SymbolicName string
	Version      Version
	// Size is in bytes, unpacked. Reading fails if it is another.
	Size int64

	file *zip.File
}

// ReadDeploymentPackage reads the directory and the manifest. Bundles are not looked into: whoever opens them reads them with
// ReadBundle, and has what they say compared with Entry.Check.
//
// Refused are packages that need more than a framework to be installed: fix packs, which have only what is new in them,
// and files for a resource processor, the customizers among them. Errors: *pack.Error (Invalid), else the reader's.
func ReadDeploymentPackage(r io.ReaderAt, size int64, limits pack.Limits) (*DeploymentPackage, error) {
	j, err := openJar(r, size, limits)
	if err != nil {
		return nil, err
	}
	if !j.manifest.IsDeploymentPackage() {
		return nil, invalid("%s: it is missing", deploymentName)
	}
	return j.deploymentPackage()
}

// IsDeploymentPackage says whether a manifest is that of a deployment package.
func (m *Manifest) IsDeploymentPackage() bool {
	_, ok := m.Main.Lookup(deploymentName)
	return ok
}

func (j *jar) deploymentPackage() (*DeploymentPackage, error) {
	main := &j.manifest.Main
	d := &DeploymentPackage{Name: main.Get(deploymentName)}
	if err := checkSymbolicName(d.Name); err != nil {
		return nil, invalid("%s: %w", deploymentName, err)
	}
	var err error
	if d.Version, err = ParseVersion(main.Get(deploymentVersion)); err != nil {
		return nil, invalid("%s: %w", deploymentVersion, err)
	}
	if fix, ok := main.Lookup(deploymentFix); ok {
		return nil, invalid("%s: it changes a package of the versions %s, and is none by itself", deploymentFix, quote(fix))
	}
	sections := make(map[string]*Section, len(j.manifest.Sections))
	for i := range j.manifest.Sections {
		sections[j.manifest.Sections[i].Name] = &j.manifest.Sections[i]
	}
	names := map[string]bool{}
	for _, f := range j.Files {
		s := sections[f.Name]
		delete(sections, f.Name)
		if err := d.add(f, s, names); err != nil {
			return nil, err
		}
	}
	for name := range sections {
		return nil, invalid("its manifest names the file %s, which it does not have", quote(name))
	}
	if len(d.Bundles) == 0 {
		return nil, invalid("it has no bundles")
	}
	return d, nil
}

// add takes a file of a package, and what its manifest says of it: nil for nothing.
func (d *DeploymentPackage) add(f *zip.File, s *Section, names map[string]bool) error {
	if _, meta := inMeta(f.Name); meta || isFolder(f) {
		return nil
	}
	if s == nil {
		return invalid("it has the file %q, which its manifest does not name", f.Name)
	}
	for _, header := range []string{resourceProcessor, deploymentCustom, deploymentMissing} {
		text, ok := s.Lookup(header)
		if ok && (header == resourceProcessor || strings.EqualFold(text, "true")) {
			return invalid("%s of %q: such files are not taken, as nobody is there to process them", header, f.Name)
		}
	}
	if _, ok := s.Lookup(bundleSymbolicName); !ok {
		d.Resources = append(d.Resources, f.Name)
		return nil
	}
	e := Entry{Path: f.Name, Size: int64(f.UncompressedSize64), file: f}
	h := &headerReader{main: s}
	if c, ok := h.single(bundleSymbolicName); ok {
		e.SymbolicName = c.Paths[0]
		h.fail(bundleSymbolicName, checkSymbolicName(e.SymbolicName))
	}
	var err error
	e.Version, err = ParseVersion(s.Get(bundleVersion))
	h.fail(bundleVersion, err)
	if h.err != nil {
		return invalid("its manifest, of %q: %w", f.Name, h.err)
	}
	// The package's bundles are found by their names (DeploymentPackage.getBundle).
	if names[e.SymbolicName] {
		return invalid("it has the bundle %s twice", e.SymbolicName)
	}
	names[e.SymbolicName] = true
	if d.Bundles = append(d.Bundles, e); len(d.Bundles) > maxBundles {
		return invalid("it has more than %d bundles", maxBundles)
	}
	return nil
}

// Open gives the bytes of a bundle. They are Size many and have their checksum, or reading fails.
func (d *DeploymentPackage) Open(i int) (io.ReadCloser, error) { return d.Bundles[i].file.Open() }

// Check refuses a bundle that is another one than the package says. Errors: *pack.Error (Invalid).
func (e Entry) Check(b *Bundle) error {
	if b.SymbolicName != e.SymbolicName || b.Version != e.Version {
		return invalid("its file %q is the bundle %s %s, and its manifest says %s %s", e.Path, b.SymbolicName, b.Version, e.SymbolicName, e.Version)
	}
	return nil
}
