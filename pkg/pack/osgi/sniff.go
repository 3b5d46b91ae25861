package osgi

import (
	"io"

	"github.com/edged/edged/pkg/pack"
)

// The formats.
const (
	// BundleFormat is a jar with a bundle's manifest.
	BundleFormat pack.Format = "bundle"
	// DeploymentFormat is a jar of bundles.
	DeploymentFormat pack.Format = "deployment-package"
)

// Sniff tells the format by what the manifest says; it may still be wrong in every other way. Errors: *pack.Error (Invalid) for what
// is neither, else the reader's.
func Sniff(r io.ReaderAt, size int64, limits pack.Limits) (pack.Format, error) {
	j, err := openJar(r, size, limits)
	if err != nil {
		return "", err
	}
	if j.manifest.IsDeploymentPackage() {
		return DeploymentFormat, nil
	}
	if _, ok := j.manifest.Main.Lookup(bundleSymbolicName); !ok {
		return "", invalid("it is neither a bundle nor a deployment package: its manifest has no %s and no %s", bundleSymbolicName, deploymentName)
	}
	return BundleFormat, nil
}
