// Package osgi reads the formats in which OSGi bundles come: jars with a manifest, and
// deployment packages, which are jars of bundles.
//
// It refuses what a framework would refuse of a manifest, before a framework sees it, and
// says which header is wrong. What it reads is hostile until it has said otherwise: nothing
// is unpacked but manifests and the heads of class files, and every text, list and depth has
// a limit. Errors are those of package pack; the class of all that say something of a bundle
// is errdefs.InvalidArgument.
//
// Sources of the rules: OSGi Core Release 8, chapter 3; OSGi Compendium Release 7, chapter 114
// (deployment packages); the JAR File Specification.
package osgi

import "github.com/edged/edged/pkg/pack"

func invalid(format string, args ...any) error { return pack.Refuse(pack.Invalid, format, args...) }
