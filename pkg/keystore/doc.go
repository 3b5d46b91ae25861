// Package keystore keeps the device's keys behind one small interface: keys that
// are derived from a root key, and key pairs that sign. Where they are is said by
// a URI: files, a TPM 2.0, or a PKCS#11 token.
//
// A device makes its keys once, at its first start. From then on the database
// remembers that it did, and by which values they are recognised: a key that is
// gone, or is another, is an error that names the cure, and never replaced in
// silence. All that modules encrypted would be lost with it, and a stolen database
// on other keys would pass for the device.
package keystore
