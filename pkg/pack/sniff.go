package pack

import (
	"bytes"
)

// Format is what a package is.
type Format string

// The formats.
const (
	// RAMPFormat is a Redis module with its description in a zip archive.
	RAMPFormat Format = "ramp"
	// ImageFormat is a container image in a tar archive, compressed or not: an OCI layout
	// or what "docker save" writes.
	ImageFormat Format = "image"
)

// SniffSize is how many bytes of a package tell its format.
const SniffSize = 512

var (
	zipMagic  = []byte("PK\x03\x04")
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// tarMagic stands at tarMagicAt of every header (tar(5), ustar and GNU).
var tarMagic = []byte("ustar")

const tarMagicAt = 257

// Sniff tells the format by the first SniffSize bytes.
func Sniff(head []byte) (Format, error) {
	switch {
	case bytes.HasPrefix(head, zipMagic):
		return RAMPFormat, nil
	case bytes.HasPrefix(head, gzipMagic), bytes.HasPrefix(head, zstdMagic),
		len(head) > tarMagicAt && bytes.HasPrefix(head[tarMagicAt:], tarMagic):
		return ImageFormat, nil
	}
	return "", invalid("it is neither a RAMP package (zip) nor an image archive (tar, gzip, zstd)")
}
