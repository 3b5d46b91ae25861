// Package store is edged's embedded database: SQLite in write-ahead mode with
// full synchronisation, so that what a call wrote is on the disk when it returns.
//
// One process owns the file. There is one connection that writes and a few that
// only read. A full disk does not stop the device: a ballast file is given up,
// so that modules can be stopped and deleted (see ballast.go).
package store
