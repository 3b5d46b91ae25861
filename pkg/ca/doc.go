// Package ca is the device's certificate authority: it issues the certificates of
// modules and keeps the bundle of what modules trust.
//
// Out of the box the device makes a CA of its own, self-signed, with a key that stays
// in the keystore. It is renewed with the same key and name, long before it ends: a
// module that still trusts the certificate before accepts what is issued under the
// one after, and the other way round, so that no module has to be restarted. An
// operator may give the device a CA of a larger PKI instead.
//
// Nothing is revoked. What is issued lives 90 days at most, and 30 unless a module
// asks otherwise: a stolen key is of use for no longer, with no list that a device
// offline could not fetch.
package ca
