// Package upload is the domain of packages: bytes that came onto the device, were found
// to be sound and fit for it, are kept, become images that modules run, and cannot be
// removed while something uses them.
//
// A package is whole or not there. Its bytes are staged and hashed as they come; an
// intent row, then the blob, then the row make it one; whatever a crash leaves on the way
// is gone after the next start. Its image is made after that, and again whenever it is
// found missing: that containerd is away keeps no bytes off the device.
package upload
