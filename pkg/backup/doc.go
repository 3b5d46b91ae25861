// Package backup writes what a device is into one archive, and brings it back: the
// database, the keys, what the agent was given, and the volumes where they are asked
// for. Images are not in it, since they can be fetched again, and neither are logs.
//
// The archive is a gzip-compressed tar. Its first member, backup.json, says what it is;
// the others lie under home/ and config/. It holds the keys of the device: who has it
// can be the device.
package backup
