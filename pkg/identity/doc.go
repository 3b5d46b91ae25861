// Package identity knows who modules are to the workload API: each has one
// identity with a generation id, and keys that nobody else can use.
//
// An identity is not the module: it may be there before it and it outlives it, so
// that a module which is made anew is who it was. A new generation id comes only
// from deleting the identity and making it again; all that the old one signed and
// encrypted is then another's.
package identity
