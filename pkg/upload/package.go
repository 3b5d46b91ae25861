package upload

import (
	"crypto/md5" //nolint:gosec // the contract's uid is one; nothing rests on it
	"encoding/hex"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/edged/edged/pkg/pack"
)

// Package is one that is on the device. It does not change: a change is another value.
type Package struct {
	UID    string
	Format pack.Format
	// Name is the module's, or the repository of the image; SemanticVersion is the module's
	// as it was given, or the image's tag.
	Name, SemanticVersion string
	// Version is the module's number, or that of the tag; 0 for a tag that has none.
	Version int64
	// SHA256 of the library or, of an image, of its manifest; in hexadecimal.
	SHA256 string
	// Size is that of the package as it came, in bytes, and Digest its own.
	Size   int64
	Digest digest.Digest
	// Kept says that the package's bytes are here. Those of an image go when it is in containerd.
	Kept bool
	// Metadata is what module.json says; nil of an image.
	Metadata *pack.Metadata `json:",omitempty"`
	// OS and Architecture are what it runs on, in the package's own words.
	OS, Architecture string
	// Dependencies that were fetched; those that are in the package are not among them.
	Dependencies []Blob `json:",omitempty"`
	Image        Image
	// Signed is what a signature that was verified says; nil without one.
	Signed *pack.Signed `json:",omitempty"`
	// Created is when it came.
	Created time.Time
}

// Blob is a dependency's bytes.
type Blob struct {
	Name   string
	Digest digest.Digest
}

// Image is what becomes of a package in containerd.
type Image struct {
	// Name with its tag; empty when none is made of it.
	Name string
	// Digest of its manifest; empty until it is made.
	Digest string
	// Base is the image it was made on, of a RAMP package.
	Base string
	// Pending is why it is not made yet.
	Pending string
}

// Made says that the image was made.
func (i *Image) Made() bool { return i.Digest != "" }

// Phase is where a package is between two whole states.
type Phase string

// The phases.
const (
	Storing  Phase = "storing"
	Ready    Phase = "ready"
	Deleting Phase = "deleting"
)

// Record is a package's row.
type Record struct {
	Package
	Phase Phase
}

// uid is the contract's: md5 of the name, a colon and the version.
func uid(name, version string) string {
	sum := md5.Sum([]byte(name + ":" + version)) //nolint:gosec // see above
	return hex.EncodeToString(sum[:])
}

func rampUID(name string, version int64) string { return uid(name, strconv.FormatInt(version, 10)) }

// blobs are all that are kept for a package.
func (p *Package) blobs() []digest.Digest {
	var all []digest.Digest
	if p.Kept {
		all = append(all, p.Digest)
	}
	for _, d := range p.Dependencies {
		all = append(all, d.Digest)
	}
	return all
}
